"""How well a score separates what one answer serves from what it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from .intervals import Share


@dataclass(frozen=True, slots=True)
class Sweep:
    """The lowest bar on one score that stays within a share of wrong answers."""

    threshold: float | None  # None = only serving nothing stays within it
    recall: Share


def sweep(
    same: Sequence[float], other: Sequence[float], max_wrong: float, per_case: int = 1
) -> Sweep:
    """Find the lowest bar at which at most ``max_wrong`` of ``other`` is served.

    Scores lie in -1..1; -1 = served at no bar.
    """
    allowed = int(max_wrong * len(other) + 1e-9)
    ranked = sorted(other, reverse=True)
    above = max(ranked[allowed], -1.0) if allowed < len(ranked) else -1.0  # the bar lies above it
    served = [value for value in same if value > above]
    bar = min((value for value in (*same, *other) if value > above), default=None)
    return Sweep(bar, Share(len(served), len(same), per_case))


def area(same: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the chance that one of ``same`` scores above one of ``other``, ties half (the AUC)."""
    if not same or not other:
        return None
    ranked = sorted([(value, True) for value in same] + [(value, False) for value in other])
    below, wins = 0, 0.0
    for _, tied in groupby(ranked, lambda item: item[0]):
        flags = [flag for _, flag in tied]
        near = sum(flags)
        wins += near * (below + (len(flags) - near) / 2)
        below += len(flags) - near
    return wins / (len(same) * len(other))
