"""Has a category become worse than it may be? A look at its latest evidence, after each piece.

Checks are a fair sample of the hits: wrong of those seen. Reports are none, as few people report at
all; but each is one wrong hit more, so that the reported ones of all hits that went out are the
least that was wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .binomial import lower
from .calibration import NOTHING

# One-sided. Stricter than the 95 % of a certificate, as it is asked after each observation.
CONFIDENCE = 0.99
LEAST_WRONG = 2  # one may be the mistake of who compared the answers, or of who reported
ENOUGH_SEEN = 200  # the latest days that hold so many are what is looked at
ENOUGH_HITS = 1000
LONGEST_DAYS = 7  # what is older proves nothing about today


@dataclass(frozen=True, slots=True)
class Daily:
    """Served hits of one day, at or above one bar."""

    day: int
    seen: int = 0  # checked
    wrong: int = 0  # of those: wrong
    hits: int = 0  # all that went out
    reported: int = 0  # of those: reported to be wrong


def broken(days: Iterable[Daily], today: int, max_error_rate: float) -> bool:
    """Say whether the latest of ``days`` prove an error rate above ``max_error_rate``."""
    latest = sorted((d for d in days if today - d.day < LONGEST_DAYS), key=_day, reverse=True)
    seen = wrong = hits = reported = 0
    for daily in latest:
        if seen < ENOUGH_SEEN:
            seen, wrong = seen + daily.seen, wrong + daily.wrong
        if hits < ENOUGH_HITS:
            hits, reported = hits + daily.hits, reported + daily.reported
    # A report may come days after its hit, or after a restart that forgot some hits.
    hits = max(hits, reported)
    return _proves(wrong, seen, max_error_rate) or _proves(reported, hits, max_error_rate)


def tightened(calibrated: float, strict: float, is_broken: Callable[[float], bool]) -> float:
    """Return the first of the calibrated bar, the strict one and none at all that is unbroken."""
    for bar in (calibrated, max(calibrated, strict)):
        if not is_broken(bar):
            return bar
    return NOTHING


def _day(daily: Daily) -> int:
    return daily.day


def _proves(wrong: int, seen: int, max_error_rate: float) -> bool:
    if wrong < LEAST_WRONG or wrong <= seen * max_error_rate:
        return False
    return lower(wrong, seen, CONFIDENCE) > max_error_rate
