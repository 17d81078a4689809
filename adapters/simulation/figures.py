"""What a replay comes to, overall and by category. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..evaluation.intervals import Share
from .outcome import HITS, SHARED, Kind, Outcome
from .replaying import Replayed
from .request_log import Logged

UNDECIDED = "(none)"  # what passed by before its category was known


@dataclass(frozen=True, slots=True)
class Figures:
    """One group of requests."""

    name: str
    requests: int
    exact: int
    semantic: int
    joined: int  # waited for the answer to an equal call
    stood_in: int  # for a model that failed
    misses: int
    bypasses: int
    relaxed: int  # hits that only load allowed
    hits: Share  # exact and semantic, of requests
    stale: Share  # of hits
    wrong: Share  # of hits and joined whose keys, and those of the answers, are known
    saved_s: float  # what callers did not wait
    spent_s: float  # what the model took for the whole group, as logged
    untimed: int  # hits and joined without a latency: no part of ``saved_s``
    saved_tokens: int  # less those of refreshes
    spent_tokens: int  # of the whole group, as logged
    uncounted: int  # hits and joined without usage: no part of ``saved_tokens``


@dataclass(frozen=True, slots=True)
class Room:
    """What a category held."""

    category: str
    entries: int  # at the end, as all but ``most``
    size_bytes: int
    guaranteed: int  # entries
    most: int  # entries, over the log
    gave_way: int  # evicted entries


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """One policy."""

    policy: str
    overall: Figures
    categories: tuple[Figures, ...]  # as decided, the largest first
    room: tuple[Room, ...]
    reasons: dict[str, int]  # of misses and bypasses, the most frequent first
    calls: int  # to the model, refreshes among them
    refreshes: int
    decided: Share  # decided as the log says, of the requests whose category it knows
    failures: dict[str, int]  # of the cache itself
    left_out: tuple[str, ...]  # of what the policy asks for


@dataclass(frozen=True, slots=True)
class Row:
    """One request, and what became of it."""

    logged: Logged
    outcome: Outcome
    wrong: bool | None  # None = nobody can tell
    refreshed: int  # times that it was asked again


def rows(requests: Sequence[Logged], replayed: Replayed) -> list[Row]:
    """Put requests and outcomes side by side."""
    asked_again = Counter(replayed.refreshed)
    return [
        Row(logged, outcome, _wrong(requests, logged, outcome), asked_again[number])
        for number, (logged, outcome) in enumerate(zip(requests, replayed.outcomes, strict=True))
    ]


def report(policy: str, requests: Sequence[Logged], replayed: Replayed) -> PolicyReport:
    """Count everything about one policy."""
    found = rows(requests, replayed)
    by_category: dict[str, list[Row]] = {}
    for row in found:
        by_category.setdefault(row.outcome.category or UNDECIDED, []).append(row)
    categories = [figures(name, members) for name, members in by_category.items()]
    told = [row for row in found if row.logged.category]
    lost = Counter(
        row.outcome.reason or UNDECIDED
        for row in found
        if row.outcome.kind in {Kind.MISS, Kind.BYPASS}
    )
    return PolicyReport(
        policy=policy,
        overall=figures("all", found),
        categories=tuple(sorted(categories, key=lambda one: (-one.requests, one.name))),
        room=_room(replayed),
        reasons=dict(sorted(lost.items(), key=lambda one: (-one[1], one[0]))),
        calls=replayed.calls,
        refreshes=len(replayed.refreshed),
        decided=Share(sum(row.outcome.category == row.logged.category for row in told), len(told)),
        failures=dict(replayed.failures),
        left_out=replayed.left_out,
    )


def figures(name: str, group: Sequence[Row]) -> Figures:
    """Count one group."""
    kinds = Counter(row.outcome.kind for row in group)
    hits = [row for row in group if row.outcome.kind in HITS]
    shared = [row for row in group if row.outcome.kind in SHARED]
    judged = [row.wrong for row in shared if row.wrong is not None]
    timed = [row for row in shared if row.logged.latency_s is not None]
    again = sum((row.logged.tokens or 0) * row.refreshed for row in group)
    return Figures(
        name=name,
        requests=len(group),
        exact=kinds[Kind.EXACT],
        semantic=kinds[Kind.SEMANTIC],
        joined=kinds[Kind.JOINED],
        stood_in=kinds[Kind.STOOD_IN],
        misses=kinds[Kind.MISS],
        bypasses=kinds[Kind.BYPASS],
        relaxed=sum(row.outcome.relaxed for row in hits),
        hits=Share(len(hits), len(group)),
        stale=Share(sum(row.outcome.stale for row in hits), len(hits)),
        wrong=Share(sum(judged), len(judged)),
        saved_s=_seconds(timed) - sum(row.outcome.waited_s for row in timed),
        spent_s=_seconds(group),
        untimed=len(shared) - len(timed),
        saved_tokens=_tokens(shared) - again,
        spent_tokens=_tokens(group),
        uncounted=sum(row.logged.tokens is None for row in shared),
    )


def _wrong(requests: Sequence[Logged], logged: Logged, outcome: Outcome) -> bool | None:
    """Say whether the answer was made for another question than this one."""
    if outcome.made_for is None or logged.key is None:
        return None
    key = requests[outcome.made_for].key
    return None if key is None else key != logged.key


def _room(replayed: Replayed) -> tuple[Room, ...]:
    most: Counter[str] = Counter()
    for sample in replayed.samples:
        for category, entries in sample.entries.items():
            most[category] = max(most[category], entries)
    held = [
        Room(
            category=category,
            entries=used.entries,
            size_bytes=used.size_bytes,
            guaranteed=guaranteed.entries,
            most=most[category],
            gave_way=replayed.gave_way.get(category, 0),
        )
        for category, (used, guaranteed) in replayed.room.items()
    ]
    return tuple(sorted(held, key=lambda room: (-room.most, room.category)))


def _seconds(group: Iterable[Row]) -> float:
    return sum(row.logged.latency_s for row in group if row.logged.latency_s is not None)


def _tokens(group: Iterable[Row]) -> int:
    return sum(row.logged.tokens for row in group if row.logged.tokens is not None)
