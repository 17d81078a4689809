"""Dates and times by name: months, weekdays, "tomorrow", "last week", "7 pm"."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MONTHS = (
    "january jan,february feb,march mar,april apr,may,june jun,july jul,august aug,"
    "september sep sept,october oct,november nov,december dec"
)
_WEEKDAYS = "monday mon,tuesday tue tues,wednesday wed,thursday thu thur thurs,friday fri"
_WEEKEND = "saturday sat,sunday sun"
_RELATIVE = "tomorrow,yesterday,tonight,christmas,easter"
_NAMES = {
    word: group.split()[0]
    for group in f"{_MONTHS},{_WEEKDAYS},{_WEEKEND},{_RELATIVE}".split(",")
    for word in group.split()
} | {f"{group.split()[0]}s": group.split()[0] for group in f"{_WEEKDAYS},{_WEEKEND}".split(",")}
# Also verbs and nouns of everyday speech: dates only beside a number or after these words.
_DOUBTFUL = frozenset("may march mar mon wed sat sun".split())
_LEADS = frozenset("in on since until till by of this next last every from during through".split())
_SHIFTS = {"last": "last", "previous": "last", "past": "last", "next": "next", "upcoming": "next"}
_PERIODS = frozenset("week weekend month quarter semester term season year".split())
_CLOCK = re.compile(r"(\d{1,2})(?::([0-5]\d))?")


def dates(words: Sequence[str]) -> tuple[str, ...]:
    """Return the dates that the words of a case-folded text name, sorted, each once."""
    found = set()
    for place, word in enumerate(words):
        if word in _NAMES and (word not in _DOUBTFUL or _is_date(words, place)):
            found.add(_NAMES[word])
        elif word in _PERIODS and place and words[place - 1] in _SHIFTS:
            found.add(f"{_SHIFTS[words[place - 1]]} {word}")
    return tuple(sorted(found)) if found else ()


def time_of_day(digits: str, meridiem: str) -> str | None:
    """Return "19:00" for "7" and "pm"; None when it is no time of day.

    Without a meridiem an hour up to twelve may be either, and "7:00" is not "07:00".
    """
    clock = _CLOCK.fullmatch(digits)
    hour = int(clock[1]) if clock else 24
    if clock is None or hour > 23 or (meridiem and not 1 <= hour <= 12):
        return None
    minutes = clock[2] or "00"
    if meridiem:
        return f"{hour % 12 + 12 * (meridiem == 'pm'):02}:{minutes}"
    return f"{hour}:{minutes}"


def _is_date(words: Sequence[str], place: int) -> bool:
    before = words[place - 1] if place else ""
    after = words[place + 1] if place + 1 < len(words) else ""
    return before in _LEADS or before[:1].isdigit() or after[:1].isdigit()
