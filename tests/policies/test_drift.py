"""When the latest evidence breaks a bound."""

from __future__ import annotations

import random

import pytest

from kindcache.policies.calibration import NOTHING
from kindcache.policies.drift import LONGEST_DAYS, Daily, broken, tightened

TODAY = 20_000


@pytest.mark.parametrize(
    ("wrong", "seen", "rate", "expected"),
    [
        (0, 0, 0.01, False),
        (1, 1, 0.001, False),  # one may be a mistake of the judge
        (2, 2, 0.01, True),
        (2, 10, 0.01, True),  # by chance in 0.4 % of cases
        (2, 20, 0.01, False),  # in 1.7 %
        (5, 500, 0.01, False),
        (14, 500, 0.01, True),
        (30, 30, 1.0, False),
    ],
)
def test_checks_break_the_bound(wrong: int, seen: int, rate: float, *, expected: bool) -> None:
    days = [Daily(TODAY, seen=seen, wrong=wrong)]
    assert broken(days, TODAY, rate) is expected


def test_reports_count_against_all_hits_that_went_out() -> None:
    assert broken([Daily(TODAY, hits=10, reported=3)], TODAY, 0.01)
    assert not broken([Daily(TODAY, hits=1000, reported=3)], TODAY, 0.01)
    assert broken([Daily(TODAY, hits=1, reported=4)], TODAY, 0.01)  # the hits were forgotten


def test_the_latest_days_with_enough_in_them_count() -> None:
    good = [Daily(TODAY - back, seen=250) for back in range(1, 4)]
    assert broken([*good, Daily(TODAY, seen=200, wrong=8)], TODAY, 0.01)
    assert not broken([*good, Daily(TODAY, seen=50, wrong=3)], TODAY, 0.01)  # with yesterday's
    assert not broken([*good, Daily(TODAY - 5, seen=200, wrong=100)], TODAY, 0.01)


def test_what_is_long_ago_no_longer_counts() -> None:
    bad = Daily(TODAY, seen=100, wrong=50)
    assert broken([bad], TODAY + LONGEST_DAYS - 1, 0.01)
    assert not broken([bad], TODAY + LONGEST_DAYS, 0.01)


def test_a_category_that_keeps_within_its_rate_rarely_alarms() -> None:
    """Asked after each of 1,000 checks at half the rate; once in 40 runs at most."""
    rng = random.Random(7)
    alarms = 0
    for _ in range(80):
        days: dict[int, list[int]] = {}
        for number in range(1000):
            counts = days.setdefault(number // 100, [0, 0])
            counts[0] += 1
            counts[1] += rng.random() < 0.01
            daily = [Daily(day, seen=n, wrong=w) for day, (n, w) in days.items()]
            if broken(daily, number // 100, 0.02):
                alarms += 1
                break
    assert alarms <= 2


@pytest.mark.parametrize(
    ("calibrated", "broken_below", "expected"),
    [
        (0.9, 0.0, 0.9),
        (0.9, 0.95, 0.97),
        (0.9, 0.99, NOTHING),
        (0.99, 0.98, 0.99),
        (0.99, 1.0, NOTHING),
        (NOTHING, 2.0, NOTHING),
    ],
)
def test_the_next_stricter_bar_that_holds(
    calibrated: float, broken_below: float, expected: float
) -> None:
    assert tightened(calibrated, 0.97, lambda bar: bar < broken_below) == expected
