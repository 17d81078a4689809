"""The stream protocol: an empty cache, the queries in order, each miss fills it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from .asker import CHUNK, Asked, Asker, Progress, silent
from .data import Query
from .intervals import Share

SCOPE = "stream"


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One query and what was said to it."""

    query: Query
    asked: Asked
    right: bool  # a hit whose entry was filled by a query of the same key
    repeatable: bool  # a query of the same key came before


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


@dataclass(frozen=True, slots=True)
class StreamReport:
    """Figures of one file."""

    source: str
    overall: StreamFigures
    groups: dict[str, tuple[StreamFigures, ...]]  # "category", "decided category"
    unserved: dict[str, int]  # repeatable queries that were no hit: reason -> count


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
            rows.append(StreamRow(query, asked, right, query.key in seen))
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
    )
