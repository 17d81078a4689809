"""Unix time that does not go back."""

from __future__ import annotations

from kindcache.cache.steady_clock import SteadyClock
from tests.conftest import FakeClock


def test_a_wall_clock_that_is_set_back_is_not_followed() -> None:
    wall, elapsed = FakeClock(), FakeClock(50.0)
    clock = SteadyClock(wall, elapsed)
    start_s = clock()
    elapsed.advance(10.0)
    wall.advance(10.0 - 7200.0)
    assert clock() == start_s + 10.0
    elapsed.advance(5.0)
    wall.advance(5.0)
    assert clock() == start_s + 15.0


def test_one_that_is_set_forward_is() -> None:
    wall, elapsed = FakeClock(), FakeClock(50.0)
    clock = SteadyClock(wall, elapsed)
    start_s = clock()
    wall.advance(86400.0)
    assert clock() == start_s + 86400.0
    wall.advance(-86400.0)
    elapsed.advance(1.0)
    assert clock() == start_s + 1.0  # what was created meanwhile is from the future
