"""Months, weekdays and relative days must agree."""

from __future__ import annotations

import pytest

from kindcache.policies.guards.dates import time_of_day
from kindcache.policies.guards.signature import signature


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from Jan to December", ("december", "january")),
        ("Mondays and tues", ("monday", "tuesday")),
        ("on Sat", ("saturday",)),
        ("in May", ("may",)),
        ("May 5", ("may",)),
        ("5th march", ("march",)),
        ("tomorrow", ("tomorrow",)),
        ("the previous month", ("last month",)),
        ("next Friday, next week", ("friday", "next week")),
        # Words of everyday speech:
        ("may I march in the sun", ()),
        ("it sat there, to wed", ()),
        ("today", ()),
        ("this week", ()),
        ("week", ()),
        ("", ()),
    ],
)
def test_dates(text: str, found: tuple[str, ...]) -> None:
    assert signature(text).dates == found


@pytest.mark.parametrize(
    ("digits", "meridiem", "time"),
    [
        ("7", "am", "07:00"),
        ("7:30", "pm", "19:30"),
        ("12", "am", "00:00"),
        ("12", "pm", "12:00"),
        ("19:00", "", "19:00"),
        ("7:00", "", "7:00"),
        ("13", "pm", None),
        ("0", "am", None),
        ("25:00", "", None),
        ("7:75", "", None),
        ("1.5", "am", None),
    ],
)
def test_time_of_day(digits: str, meridiem: str, time: str | None) -> None:
    assert time_of_day(digits, meridiem) == time
