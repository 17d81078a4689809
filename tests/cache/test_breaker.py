from __future__ import annotations

import pytest

from kindcache.cache.breaker import Breaker, Pass
from tests.conftest import FakeClock


@pytest.fixture
def breaker(clock: FakeClock) -> Breaker:
    return Breaker(clock, failures=3, first_pause_s=1.0, longest_pause_s=4.0)


def enter(breaker: Breaker) -> Pass:
    ticket = breaker.enter()
    assert ticket is not None
    return ticket


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(enter(breaker))


def test_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open
    assert breaker.enter() is None


def test_a_success_between_starts_the_count_again(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.succeeded(enter(breaker))
    fail(breaker, 2)
    assert not breaker.is_open


def test_one_probe_after_the_pause(breaker: Breaker, clock: FakeClock) -> None:
    fail(breaker, 3)
    clock.advance(0.99)
    assert breaker.enter() is None
    clock.advance(0.01)
    probe = enter(breaker)
    assert breaker.enter() is None
    breaker.succeeded(probe)
    assert not breaker.is_open
    enter(breaker)
    enter(breaker)


def test_pause_doubles_up_to_the_longest_and_starts_again(
    breaker: Breaker, clock: FakeClock
) -> None:
    fail(breaker, 3)
    for pause_s in (1.0, 2.0, 4.0, 4.0):
        clock.advance(pause_s - 0.01)
        assert breaker.enter() is None
        clock.advance(0.02)
        fail(breaker)
    clock.advance(4.0)
    breaker.succeeded(enter(breaker))
    fail(breaker, 3)
    clock.advance(1.0)
    enter(breaker)


def test_calls_that_were_under_way_do_not_prolong_the_pause(
    breaker: Breaker, clock: FakeClock
) -> None:
    late = [enter(breaker) for _ in range(50)]
    fail(breaker, 3)
    for ticket in late:
        breaker.failed(ticket)
    clock.advance(1.0)
    enter(breaker)


def test_late_results_of_an_earlier_round_do_not_count(breaker: Breaker, clock: FakeClock) -> None:
    good, bad = enter(breaker), enter(breaker)
    fail(breaker, 3)
    breaker.succeeded(good)
    assert breaker.is_open
    clock.advance(1.0)
    breaker.succeeded(enter(breaker))
    fail(breaker, 2)
    breaker.failed(bad)
    assert not breaker.is_open


def test_an_abandoned_probe_makes_room_for_another(breaker: Breaker, clock: FakeClock) -> None:
    fail(breaker, 3)
    clock.advance(1.0)
    breaker.abandoned(enter(breaker))
    assert breaker.is_open
    breaker.succeeded(enter(breaker))
    assert not breaker.is_open


def test_abandoned_calls_are_no_failures(breaker: Breaker) -> None:
    for _ in range(10):
        breaker.abandoned(enter(breaker))
    assert not breaker.is_open
