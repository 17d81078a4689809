"""The table of the break-even experiment: medians and percentiles, and the paper's own figures."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

from kindcache.cache.events import Trace
from kindcache.policies.economics import break_even

MODELS_S = (0.1, 0.15, 0.2, 0.5, 1.0, 2.0, 5.0)
TAIL = 0.05  # the paper: categories of low repetition have hit rates of 5 to 15 %
# arXiv 2510.26835, abstract: time of a miss, and the hit rates in % from which it is said to pay.
PAPER = (
    ("paper: vector database", 0.030, (15, 20)),
    ("paper: HNSW in memory", 0.002, (3, 5)),
)


@dataclass(slots=True)
class Stages:
    """Times of the stages of lookups of one kind, in seconds."""

    embed: list[float] = field(default_factory=list)
    search: list[float] = field(default_factory=list)
    judge: list[float] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)

    def take(self, trace: Trace) -> None:
        """Take one lookup in."""
        self.embed.append(trace.embed_s)
        self.search.append(trace.search_s)
        self.judge.append(trace.judge_s)
        self.rest.append(trace.total_s - trace.embed_s - trace.search_s - trace.judge_s)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to look up: its stages left alone, and the median of all of them, in seconds."""

    name: str
    embed: float
    search: float
    judge: float
    fetch: float
    median: float

    @property
    def lookup(self) -> float:
        """Return what every question pays that has no answer to the letter."""
        return self.embed + self.search + self.judge


@dataclass(slots=True)
class Measured:
    """All that was measured."""

    crowded: Stages = field(default_factory=Stages)  # misses among thousands that resemble them
    far: Stages = field(default_factory=Stages)  # misses that nothing resembles
    hits: Stages = field(default_factory=Stages)
    guards: Stages = field(default_factory=Stages)  # misses without the scorer
    guard_hits: Stages = field(default_factory=Stages)
    trips: dict[float, list[float]] = field(default_factory=dict)
    other: int = 0  # lookups that ended otherwise than meant


def ways(found: Measured) -> list[Way]:
    """Return the ways that were measured: misses for the lookup, hits for fetching."""
    ours = [
        ("in process, many resemble it", found.crowded, found.hits),
        ("in process, nothing near", found.far, found.hits),
        ("in process, guards alone", found.guards, found.guard_hits),
    ]
    rows = [_way(name, missed, missed.search, alone(hit.rest)) for name, missed, hit in ours]
    for delay_s, taken in found.trips.items():
        name = f"round trip of {1e3 * delay_s:.0f} ms, guards alone"
        # The answer comes with what was found: nothing more is fetched.
        rows.append(_way(name, found.guards, taken, 0.0))
    return rows


def _way(name: str, missed: Stages, search: Sequence[float], fetch_s: float) -> Way:
    stages = (missed.embed, search, missed.judge)
    embed, found, judge = map(alone, stages)
    return Way(name, embed, found, judge, fetch_s, sum(map(median, stages)))


def alone(times_s: Sequence[float]) -> float:
    """Return the fifth percentile."""
    return quantiles(times_s, n=20)[0]


def page(found: Measured, seed: int, entries: int, took_s: float) -> str:
    """Return the section."""
    heads = ("lookup", "embed", "search", "judge", "all", "median", "fetch")
    times = [f"{1e3 * s:g} ms" if s < 1.0 else f"{s:g} s" for s in MODELS_S]
    turns = (
        f"- Fifth percentiles of {len(found.far.embed)} turns, and the sum of the medians;"
        f" {found.other} lookups ended otherwise and do not count"
    )
    what = f"Stages in ms; then the hit rate needed, in %, for models of {times[0]} to {times[-1]}."
    lines = [
        f"- Machine: {machine()}; {entries:,} entries in one partition; seed {seed}",
        turns,
        f"- Took {took_s:.0f} s",
        "",
        what,
        "",
        f"| {' | '.join((*heads, *times))} | pays at {TAIL:.0%} hits from |",
        "| :-- |" + " --: |" * (len(heads) + len(times)),
    ]
    for way in ways(found):
        stages = (way.embed, way.search, way.judge, way.lookup, way.median, way.fetch)
        cells = [f"{1e3 * s:.2f}" for s in stages]
        lines.append(f"| {' | '.join((way.name, *cells, *needed(way.lookup, way.fetch)))} |")
    for name, lookup_s, _ in PAPER:
        cells = ["", "", "", f"{1e3 * lookup_s:.0f}", "", ""]
        lines.append(f"| {' | '.join((name, *cells, *needed(lookup_s, 0.0)))} |")
    return "\n".join([*lines, "", *implied()])


def implied() -> list[str]:
    """Say which models the paper's own rates are for, by the formula."""
    lines = [
        "What the paper says is needed, and the models for which that is so by the formula:",
        "",
    ]
    for name, lookup_s, (least, most) in PAPER:
        quick_s, slow_s = (1e2 * lookup_s / rate for rate in (most, least))
        text = f"{least} to {most} %: models of {1e3 * quick_s:.0f} to {1e3 * slow_s:.0f} ms"
        lines.append(f"- {name}, {1e3 * lookup_s:.0f} ms a miss, {text}")
    return lines


def needed(lookup_s: float, fetch_s: float) -> list[str]:
    """Return the hit rate needed at each of ``MODELS_S``, and the quickest model for ``TAIL``."""
    cells = []
    for model_s in MODELS_S:
        rate = break_even(lookup_s, model_s, fetch_s)
        cells.append("never" if rate is None or rate > 1.0 else f"{100 * rate:.2f}")
    quickest_s = lookup_s / TAIL + fetch_s
    return [*cells, f"{1e3 * quickest_s:.0f} ms"]


def machine() -> str:
    """Describe this machine and its load."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()},"
        f" load average {load:.1f}"
    )
