"""What calls take at rest, learnt from the calls."""

from __future__ import annotations

import math

import pytest

from kindcache.policies.resting import (
    FEWEST_CALLS,
    MEMORY_S,
    SOFTENED_S,
    WINDOW_S,
    Rest,
    at_rest_s,
    learn,
    slowdown,
)


def taught(rest: Rest, taken_s: float, from_s: float, seconds: float) -> Rest:
    """Take in a call a second."""
    for second in range(int(seconds)):
        rest = learn(rest, taken_s, from_s + second)
    return rest


def test_nothing_is_known_before_the_first_window_is_full() -> None:
    rest = taught(Rest(), 1.0, 0.0, WINDOW_S)
    assert at_rest_s(rest) is None
    assert slowdown(rest, 9.0) is None
    assert at_rest_s(learn(rest, 1.0, WINDOW_S)) == pytest.approx(1.0)


def test_few_calls_make_no_window() -> None:
    rest = Rest()
    for number in range(FEWEST_CALLS - 1):
        rest = learn(rest, 1.0, number * WINDOW_S)
    assert at_rest_s(rest) is None


def test_slow_times_do_not_raise_it_and_quick_ones_lower_it() -> None:
    rest = taught(Rest(), 1.0, 0.0, 40)
    rest = taught(rest, 10.0, 100.0, 600)
    assert at_rest_s(rest) == pytest.approx(1.0)
    assert slowdown(rest, 10.0) == pytest.approx((10 + SOFTENED_S) / (1 + SOFTENED_S))
    rest = taught(rest, 0.5, 1000.0, 100)
    assert at_rest_s(rest) == pytest.approx(0.5)


def test_what_was_quick_long_ago_is_forgotten() -> None:
    rest = taught(Rest(), 1.0, 0.0, 40)
    rest = taught(rest, 10.0, MEMORY_S + 100.0, 100)
    assert at_rest_s(rest) == pytest.approx(10.0)


def test_a_few_hundredths_of_a_second_are_no_load() -> None:
    rest = taught(Rest(), 0.01, 0.0, 40)
    found = slowdown(rest, 0.04)
    assert found is not None
    assert found < 1.3


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_what_is_no_time_teaches_nothing(bad: float) -> None:
    rest = taught(Rest(), 1.0, 0.0, 40)
    assert learn(rest, bad, 41.0) == rest
    assert slowdown(rest, bad) is None
    assert learn(rest, 1.0, math.nan) == rest


def test_a_clock_that_goes_back_begins_a_new_window() -> None:
    rest = taught(Rest(), 1.0, 1000.0, 40)
    rest = taught(rest, 10.0, 0.0, 40)  # the window that closes drops what is of the future
    assert at_rest_s(rest) == pytest.approx(10.0)


def test_little_is_kept_however_long_it_runs() -> None:
    rest = Rest()
    for number in range(20_000):
        rest = learn(rest, 1.0 + number % 97, number * 1.0)
    assert len(rest.lows) <= 40
