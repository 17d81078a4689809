"""The stream protocol: an empty cache, the queries in order, each miss fills it.

The frontier sweeps the bar over what was asked at the bar in use: each exact hit stands, each query
whose best candidate the pair scorer read is served above the swept bar and not below it. A cache
with a lower bar would also store fewer entries, and one with a higher bar more, so that later
queries would meet other candidates; and cosine is swept over the same candidates, which have passed
the guards. It shows which way the bar leads from where it is, not what another bar would measure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from .asker import CHUNK, Asked, Asker, Progress, silent
from .curves import Bin, Frontier, Scored, curve, reliability
from .data import Query
from .intervals import Share
from .ranking import area

SCOPE = "stream"


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One query and what was said to it."""

    query: Query
    asked: Asked
    right: bool  # a hit whose entry was filled by a query of the same key
    repeatable: bool  # a query of the same key came before
    candidate_right: bool | None = None  # the same of the entry that was scored; None = none was


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """Figures of one group of queries."""

    name: str
    queries: int
    exact: int
    semantic: int
    hits: Share  # of queries
    wrong_of_queries: Share
    wrong_of_hits: Share
    precision: Share  # right hits of hits
    recall: Share  # right hits of the queries whose key came before
    auc: float | None  # of similarity, over the scored candidates: same key against other key
    judged_auc: float | None  # of the pair scorer's probability, over the same


@dataclass(frozen=True, slots=True)
class StreamReport:
    """Figures of one file."""

    source: str
    overall: StreamFigures
    groups: dict[str, tuple[StreamFigures, ...]]  # "category", "decided category"
    unserved: dict[str, int]  # repeatable queries that were no hit: reason -> count
    reliability: tuple[Bin, ...]  # the judge's probability against the keys, where it was asked
    frontier: Frontier | None  # None = it never was


async def run_stream(
    asker: Asker, queries: Sequence[Query], *, source: str = "", progress: Progress = silent
) -> StreamReport:
    """Replay ``queries`` from an empty scope and count."""
    rows: list[StreamRow] = []
    filled: dict[str, str] = {}  # prompt -> key of the query that filled the cache with it
    seen: set[str] = set()
    try:
        for number, query in enumerate(queries):
            if number % CHUNK == 0:
                await asker.prepare([later.text for later in queries[number : number + CHUNK]])
            asked = await asker.ask(SCOPE, query.text)
            # An origin that cannot be named counts as wrong.
            right = asked.hit and filled.get(asked.served_prompt or "") == query.key
            known = asked.probability is not None and asked.candidate in filled
            near = filled[asked.candidate or ""] == query.key if known else None
            rows.append(StreamRow(query, asked, right, query.key in seen, near))
            if not asked.hit:
                await asker.fill(SCOPE, query.text)
                filled[query.text] = query.key
            seen.add(query.key)
            progress(number + 1, len(queries))
    finally:
        await asker.forget(SCOPE)
    return report(rows, source=source)


def report(rows: Sequence[StreamRow], *, source: str) -> StreamReport:
    """Count rows, overall and by every way of grouping that makes more than one group. Pure."""
    keys: dict[str, Callable[[StreamRow], str]] = {
        "category": lambda row: row.query.category,
        "decided category": lambda row: row.asked.category,
    }
    groups: dict[str, tuple[StreamFigures, ...]] = {}
    for name, key in keys.items():
        found = [
            figures(value or "(none)", list(members))
            for value, members in groupby(sorted(rows, key=key), key)
        ]
        if len(found) > 1:
            groups[name] = tuple(found)
    lost = Counter(row.asked.reason for row in rows if row.repeatable and not row.asked.hit)
    return StreamReport(
        source=source,
        overall=figures("all", rows),
        groups=groups,
        unserved=dict(lost.most_common()),
        reliability=reliability(_scored(rows, "probability")),
        frontier=_frontier(rows),
    )


def figures(name: str, rows: Sequence[StreamRow]) -> StreamFigures:
    """Count one group."""
    hits = [row for row in rows if row.asked.hit]
    right = sum(row.right for row in hits)
    wrong = len(hits) - right
    exact = sum(row.asked.tier == "exact" for row in hits)
    return StreamFigures(
        name=name,
        queries=len(rows),
        exact=exact,
        semantic=len(hits) - exact,
        hits=Share(len(hits), len(rows)),
        wrong_of_queries=Share(wrong, len(rows)),
        wrong_of_hits=Share(wrong, len(hits)),
        precision=Share(right, len(hits)),
        recall=Share(right, sum(row.repeatable for row in rows)),
        auc=_area(_scored(rows, "similarity")),
        judged_auc=_area(_scored(rows, "probability")),
    )


def _scored(rows: Sequence[StreamRow], score: Literal["similarity", "probability"]) -> list[Scored]:
    return [
        (getattr(row.asked, score), row.candidate_right)
        for row in rows
        if row.candidate_right is not None
    ]


def _area(scored: Sequence[Scored]) -> float | None:
    return area([one for one, same in scored if same], [one for one, same in scored if not same])


def _frontier(rows: Sequence[StreamRow]) -> Frontier | None:
    judged = _scored(rows, "probability")
    if not judged:
        return None
    exact = [row.right for row in rows if row.asked.tier == "exact"]
    overall = figures("all", rows)

    def place(right: int, wrong: int) -> tuple[float, float]:
        hits = len(exact) + right + wrong
        return hits / len(rows), (sum(exact) + right) / hits

    return Frontier(
        x="hits of queries",
        y="right hits of hits (precision)",
        curves=(
            curve("judge", judged, place),
            curve("cosine", _scored(rows, "similarity"), place),
        ),
        shipped=None
        if overall.precision.value is None
        else (overall.hits.value or 0.0, overall.precision.value),
    )
