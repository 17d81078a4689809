"""The pair protocol: a fresh scope per pair, store ``q1``, ask ``q2``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from .asker import CHUNK, Asked, Asker, Progress, silent
from .data import Pair
from .intervals import Share


class Direction(StrEnum):
    """Which prompt of a pair fills the cache."""

    FORWARD = "forward"  # q1 is stored, q2 asked
    BOTH = "both"  # also the other way round, in a scope of its own


@dataclass(frozen=True, slots=True)
class PairRow:
    """One question and what was said to it."""

    pair: Pair
    backward: bool
    asked: Asked


@dataclass(frozen=True, slots=True)
class Sweep:
    """The lowest bar on plain similarity that stays within a share of wrong answers."""

    threshold: float | None  # None = only serving nothing stays within it
    recall: Share


@dataclass(frozen=True, slots=True)
class PairFigures:
    """Figures of one group of pairs."""

    name: str
    pairs: int
    recall: Share  # served on label 1
    wrong: Share  # served on label 0
    auc: float | None  # of plain similarity; None = only one label
    at_1: Sweep  # best recall of a plain threshold at <= 1 % wrong
    at_5: Sweep
    judged_auc: float | None  # of the pair scorer's probability; None = it was not asked
    judged_at_1: Sweep
    judged_at_5: Sweep


@dataclass(frozen=True, slots=True)
class PairReport:
    """Figures of one file."""

    source: str
    direction: Direction
    overall: PairFigures
    groups: dict[str, tuple[PairFigures, ...]]  # "half", "kind", "category", "decided category", …
    unserved: dict[str, int]  # label 1: reason -> count


async def run_pairs(
    asker: Asker,
    pairs: Sequence[Pair],
    *,
    source: str = "",
    direction: Direction = Direction.FORWARD,
    progress: Progress = silent,
) -> PairReport:
    """Ask every pair and count."""
    rows: list[PairRow] = []
    turns = (False, True) if direction is Direction.BOTH else (False,)
    for begin in range(0, len(pairs), CHUNK):
        chunk = pairs[begin : begin + CHUNK]
        await asker.prepare([text for pair in chunk for text in (pair.q1, pair.q2)])
        for number, pair in enumerate(chunk, begin):
            for backward in turns:
                asked = await _ask(asker, f"pair-{number}-{backward:d}", pair, backward=backward)
                rows.append(PairRow(pair, backward, asked))
            progress(number + 1, len(pairs))
    return report(rows, source=source, direction=direction)


async def _ask(asker: Asker, scope: str, pair: Pair, *, backward: bool) -> Asked:
    stored, asked = (pair.q2, pair.q1) if backward else (pair.q1, pair.q2)
    try:
        await asker.fill(scope, stored)
        return await asker.ask(scope, asked)
    finally:
        await asker.forget(scope)


def report(rows: Sequence[PairRow], *, source: str, direction: Direction) -> PairReport:
    """Count rows, overall and by every way of grouping that makes more than one group. Pure."""
    keys: dict[str, Callable[[PairRow], str]] = {
        "half": lambda row: row.pair.half,
        "direction": lambda row: "backward" if row.backward else "forward",
        "kind": lambda row: row.pair.kind,
        "category": lambda row: row.pair.category,
        "decided category": lambda row: row.asked.category,
    }
    directions = 2 if direction is Direction.BOTH else 1
    groups: dict[str, tuple[PairFigures, ...]] = {}
    for name, key in keys.items():
        per_case = 1 if name == "direction" else directions
        found = [
            figures(value or "(none)", list(members), per_case=per_case)
            for value, members in groupby(sorted(rows, key=key), key)
        ]
        if len(found) > 1:
            groups[name] = tuple(found)
    lost = Counter(row.asked.reason for row in rows if row.pair.label and not row.asked.hit)
    return PairReport(
        source=source,
        direction=direction,
        overall=figures("all", rows, per_case=directions),
        groups=groups,
        unserved=dict(lost.most_common()),
    )


def figures(name: str, rows: Sequence[PairRow], *, per_case: int = 1) -> PairFigures:
    """Count one group; ``per_case`` rows belong to one pair and are not independent."""
    same = [row.asked for row in rows if row.pair.label]
    other = [row.asked for row in rows if not row.pair.label]
    near, far = _similarities(same), _similarities(other)
    sure, unsure = _probabilities(same), _probabilities(other)
    asked = any(row.asked.probability is not None for row in rows)
    return PairFigures(
        name=name,
        pairs=len({row.pair.id for row in rows}),
        recall=Share(sum(asked.hit for asked in same), len(same), per_case),
        wrong=Share(sum(asked.hit for asked in other), len(other), per_case),
        auc=area(near, far),
        at_1=sweep(near, far, 0.01, per_case),
        at_5=sweep(near, far, 0.05, per_case),
        judged_auc=area(sure, unsure) if asked else None,
        judged_at_1=sweep(sure, unsure, 0.01, per_case),
        judged_at_5=sweep(sure, unsure, 0.05, per_case),
    )


def _similarities(asked: Sequence[Asked]) -> list[float]:
    # No candidate (not cached, over the window, another category's index) ranks below any.
    return [-1.0 if one.similarity is None else one.similarity for one in asked]


def _probabilities(asked: Sequence[Asked]) -> list[float]:
    # A candidate that a guard ruled out, or that is too far, ranks below any.
    return [-1.0 if one.probability is None else one.probability for one in asked]


def sweep(
    same: Sequence[float], other: Sequence[float], max_wrong: float, per_case: int = 1
) -> Sweep:
    """Find the lowest bar at which at most ``max_wrong`` of ``other`` is served; similarities."""
    allowed = int(max_wrong * len(other) + 1e-9)
    ranked = sorted(other, reverse=True)
    above = max(ranked[allowed], -1.0) if allowed < len(ranked) else -1.0  # the bar lies above it
    served = [value for value in same if value > above]
    bar = min((value for value in (*same, *other) if value > above), default=None)
    return Sweep(bar, Share(len(served), len(same), per_case))


def area(same: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the chance that a label-1 pair is nearer than a label-0 pair, ties half (the AUC)."""
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
