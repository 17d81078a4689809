"""The pair protocol: a fresh scope per pair, store ``q1``, ask ``q2``.

Conversations are asked in the same way, each prompt after the messages before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from .asker import CHUNK, Asked, Asker, Progress, silent
from .curves import Bin, Frontier, Scored, curve, reliability
from .data import Pair
from .intervals import Share
from .ranking import Sweep, area, sweep


class Direction(StrEnum):
    """Which prompt of a pair fills the cache."""

    FORWARD = "forward"  # q1 is stored, q2 asked
    BACKWARD = "backward"  # q2 is stored, q1 asked
    BOTH = "both"  # one after the other, each in a scope of its own


_TURNS = {
    Direction.FORWARD: (False,),
    Direction.BACKWARD: (True,),
    Direction.BOTH: (False, True),
}


@dataclass(frozen=True, slots=True)
class PairRow:
    """One question and what was said to it."""

    number: int  # of the pair in its file
    pair: Pair
    backward: bool
    asked: Asked


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
    reliability: tuple[Bin, ...]  # the judge's probability against the label, where it was asked
    frontier: Frontier | None  # None = only one label


async def run_pairs(
    asker: Asker,
    pairs: Sequence[Pair],
    *,
    source: str = "",
    direction: Direction = Direction.FORWARD,
    progress: Progress = silent,
) -> PairReport:
    """Ask every pair and count."""
    rows = await ask_pairs(asker, pairs, direction=direction, progress=progress)
    return report(rows, source=source, direction=direction)


async def ask_pairs(
    asker: Asker,
    pairs: Sequence[Pair],
    *,
    direction: Direction = Direction.FORWARD,
    progress: Progress = silent,
) -> list[PairRow]:
    """Ask every pair, each in a scope of its own."""
    rows: list[PairRow] = []
    for begin in range(0, len(pairs), CHUNK):
        chunk = pairs[begin : begin + CHUNK]
        await asker.prepare([text for pair in chunk for text in (pair.q1, pair.q2)])
        for number, pair in enumerate(chunk, begin):
            for backward in _TURNS[direction]:
                asked = await _ask(asker, f"pair-{number}-{backward:d}", pair, backward=backward)
                rows.append(PairRow(number, pair, backward, asked))
            progress(number + 1, len(pairs))
    return rows


async def _ask(asker: Asker, scope: str, pair: Pair, *, backward: bool) -> Asked:
    first, second = zip((pair.q1, pair.q2), pair.earlier, strict=True)
    stored, asked = (second, first) if backward else (first, second)
    try:
        await asker.fill(scope, *stored)
        return await asker.ask(scope, *asked)
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
        reliability=reliability(_judged(rows), directions),
        frontier=_frontier(rows),
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
        pairs=len({row.number for row in rows}),
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
    return [-1.0 if (chance := _chance(one)) is None else chance for one in asked]


def _chance(asked: Asked) -> float | None:
    """Return the judge's probability; what is equal to the letter it need not be asked about."""
    return 1.0 if asked.tier == "exact" else asked.probability


def _judged(rows: Sequence[PairRow]) -> list[Scored]:
    return [
        (row.asked.probability, bool(row.pair.label))
        for row in rows
        if row.asked.probability is not None
    ]


def _frontier(rows: Sequence[PairRow]) -> Frontier | None:
    """Sweep both scores. Plain cosine is swept over all pairs, past guards and pair scorer."""
    same = sum(row.pair.label for row in rows)
    other = len(rows) - same
    if not same or not other:
        return None
    labelled = [(row.asked, bool(row.pair.label)) for row in rows]
    sure = [(chance, label) for one, label in labelled if (chance := _chance(one)) is not None]
    near = [(one.similarity, label) for one, label in labelled if one.similarity is not None]
    served = Counter(row.pair.label for row in rows if row.asked.hit)
    return Frontier(
        x="served on label 0",
        y="served on label 1",
        curves=tuple(
            curve(name, scored, lambda right, wrong: (wrong / other, right / same))
            for name, scored in (("judge", sure if _judged(rows) else []), ("cosine", near))
            if scored
        ),
        shipped=(served[0] / other, served[1] / same),
    )
