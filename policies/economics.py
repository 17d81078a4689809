"""Whether looking a category up by meaning pays: in time, or in money.

A lookup by meaning costs every question that has no answer to the letter; a hit saves what the
model would have taken, less what it takes to fetch the answer. Without such lookups a question
takes ``llm``, with them ``lookup + h fetch + (1 - h) llm``: they break even at the hit rate
``h* = lookup / (llm - fetch)``. The unit is any, but the same for all three.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from .wilson import wilson

LONGEST_S = 3600.0  # ours: what takes longer is a clock that jumped, or a client that paused
_NOTHING = 1e-6  # lookups that are left of what has long faded


class Pays(StrEnum):
    """Whether a category's lookups by meaning bring more than they cost."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rate:
    """Hits by meaning among lookups by meaning. Both may be fractions: the past fades."""

    hits: float = 0.0
    lookups: float = 0.0

    @property
    def value(self) -> float | None:
        """Return the share, None when there was no lookup of late."""
        return self.hits / self.lookups if self.lookups > _NOTHING else None

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval.

        Fading counts are taken for numbers of independent lookups, of which they hold more: the
        interval is rather too wide than too narrow.
        """
        if self.lookups <= _NOTHING:
            return wilson(0, 0)
        return wilson(min(self.hits, self.lookups), self.lookups)


def is_plausible(seconds: float) -> bool:
    """Say whether ``seconds`` can be a time that was measured: finite, not negative, not absurd."""
    return 0.0 <= seconds <= LONGEST_S  # NaN compares false


def break_even(lookup: float | None, llm: float | None, fetch: float | None = None) -> float | None:
    """Return the hit rate at which lookups pay for themselves.

    None: not known yet. Infinite: a hit saves nothing, so it never pays. Above 1: no hit rate is
    high enough. ``fetch`` None: no hit yet; taken for 0, which makes the rate a lower bound.
    """
    if lookup is None or llm is None:
        return None
    saved = llm - (fetch or 0.0)
    if not (math.isfinite(lookup) and math.isfinite(saved) and lookup >= 0.0):
        return None
    if saved <= 0.0:
        return math.inf
    return lookup / saved


def pays(rate: Rate, needed: float | None) -> Pays:
    """Compare a category's hit rate, with its uncertainty, with the rate ``needed``.

    Unknown where the interval holds the rate needed, and where that is not known.
    """
    if needed is None or math.isnan(needed):
        return Pays.UNKNOWN
    low, high = rate.interval
    if high < needed:
        return Pays.NO
    return Pays.YES if low >= needed else Pays.UNKNOWN


def passed_over(rate: Rate, needed: float | None, share: float, drawn: float) -> bool:
    """Say whether a question is not looked up by meaning, to save what the lookup would cost.

    Only where lookups do not pay, and for all but the ``share`` that ``drawn`` (0 to below 1)
    falls into: the sample tells when that changes.
    """
    in_sample = drawn < share or share >= 1.0  # a draw may round up to 1
    return not in_sample and pays(rate, needed) is Pays.NO
