"""Calls of our own are few, and fewer than that on no day."""

from __future__ import annotations

from kindcache.cache.learning.budget import DailyBudget
from kindcache.cache.learning.fact import DAY_S
from tests.conftest import FakeClock


def test_a_day_has_so_many_calls(clock: FakeClock) -> None:
    budget = DailyBudget(2, clock)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    assert budget.left == 0


def test_a_new_day_brings_new_ones_at_midnight_utc(clock: FakeClock) -> None:
    clock.now_s = 20_000 * DAY_S - 1
    budget = DailyBudget(1, clock)
    assert budget.take()
    clock.advance(0.5)
    assert not budget.take()
    clock.advance(0.5)
    assert budget.left == 1


def test_a_clock_set_back_brings_none(clock: FakeClock) -> None:
    budget = DailyBudget(1, clock)
    assert budget.take()
    clock.advance(-3 * DAY_S)
    assert not budget.take()


def test_none_means_none(clock: FakeClock) -> None:
    assert not DailyBudget(0, clock).take()
