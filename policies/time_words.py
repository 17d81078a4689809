"""Prompts whose answer depends on the day on which they are asked. English only.

Reads too much rather than too little: what is named here by mistake lives shorter, nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .guards.dates import dates
from .guards.reading import normal, words
from .guards.signature import LONGEST

_YEAR_S = 31_556_952  # of the Gregorian calendar, on average
_FIRST_YEAR, _LAST_YEAR = 1000, 2999
_NOW = frozenset(
    "today todays now nowadays currently current latest newest recent recently lately tonight "
    "tomorrow yesterday upcoming ago".split()
)
_THIS = frozenset(
    "morning afternoon evening night week weekend month quarter semester term season year "
    "decade summer autumn fall winter spring".split()
)
_NEAR = frozenset("this next last previous past coming".split())
_PHRASES = (
    ("these", "days"),
    ("at", "the", "moment"),
    ("so", "far"),
    ("up", "to", "date"),
    ("as", "of"),
    ("of", "the", "day"),
)
_FEASTS = frozenset(("christmas", "easter"))  # recipes and customs do not depend on the year


def is_time_bound(text: str, at_s: float) -> bool:
    """Say whether an answer to ``text`` of the time ``at_s`` (Unix) grows old with the calendar.

    Words for now ("latest", "this week"), a date without a year, and any year from the one before
    ``at_s`` on. Years long past change nothing any more. A text too long to read is time-bound.
    """
    if len(text) > LONGEST:
        return True
    in_order = words(normal(text).casefold())
    years = [int(word) for word in in_order if _is_year(word)]
    if _speaks_of_now(in_order) or any(year >= _year_of(at_s) - 1 for year in years):
        return True
    return not years and not _FEASTS.issuperset(dates(in_order))


def _speaks_of_now(in_order: Sequence[str]) -> bool:
    if not _NOW.isdisjoint(in_order):
        return True
    for place, word in enumerate(in_order):
        if word in _NEAR and _at(in_order, place + 1) in _THIS:
            return True
        for phrase in _PHRASES:
            if word == phrase[0] and tuple(in_order[place : place + len(phrase)]) == phrase:
                return True
    return False


def _at(in_order: Sequence[str], place: int) -> str:
    return in_order[place] if place < len(in_order) else ""


def _is_year(word: str) -> bool:
    return (
        len(word) == 4
        and word.isascii()
        and word.isdigit()
        and (_FIRST_YEAR <= int(word) <= _LAST_YEAR)
    )


def _year_of(at_s: float) -> float:
    """Return the year of a Unix time, to a day; a clock that tells no time makes all years new."""
    return 1970 + at_s // _YEAR_S if math.isfinite(at_s) else -math.inf
