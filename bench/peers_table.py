"""Figures of the comparison with peers, and the tables they are printed as. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

import numpy as np

WHOLE_SHARE = 0.995  # a cell says which share of its requests counted if it is below this
LEAST_SHARE = 0.8  # below this a row is not what it says, and has no figures


class Row(StrEnum):
    """What is measured; the values are what tables say."""

    EXACT = "exact hit"
    SEMANTIC = "semantic hit"
    STREAM_FIRST = "streamed hit, first byte"
    STREAM_WHOLE = "streamed hit, all of it"
    MISS = "miss, added to the upstream's time"
    STREAM_MISS = "streamed miss, first byte, added"
    MISSES = "miss"
    FLIGHT = "upstream calls for 100 equal misses at once"
    STREAM_FLIGHT = "the same, streamed"
    MEMORY = "resident bytes an entry"
    RESTART = "restart to first hit, s"


@dataclass(frozen=True, slots=True)
class Timing:
    """One round of a row. ``rate`` in requests a second, ``per_core`` in those a CPU second."""

    p50_ms: float
    p99_ms: float
    rate: float
    per_core: float
    counted: int
    asked: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where figures belong. ``clients`` 0 = the row is no matter of clients."""

    size: int
    peer: str
    row: Row
    clients: int = 0


@dataclass(slots=True)
class Results:
    """Everything measured so far."""

    timings: dict[Place, list[Timing]] = field(default_factory=dict)
    values: dict[Place, list[float]] = field(default_factory=dict)

    def time(self, place: Place, timing: Timing) -> None:
        """Add one round of times."""
        self.timings.setdefault(place, []).append(timing)

    def value(self, place: Place, value: float) -> None:
        """Add one reading of a single figure."""
        self.values.setdefault(place, []).append(value)

    def p50_ms(self, place: Place) -> float | None:
        """Return the median over rounds of the medians; None = not measured or not as said."""
        rounds = self.timings.get(place, [])
        if not rounds or _share(rounds) < LEAST_SHARE:
            return None
        return median(each.p50_ms for each in rounds)


def timing(times_s: Sequence[float], asked: int, wall_s: float, cpu_s: float) -> Timing:
    """Summarise the times of the requests that count, out of ``asked``.

    ``cpu_s`` is what the server used for all of them.
    """
    if not times_s:
        return Timing(0.0, 0.0, 0.0, 0.0, 0, asked)
    p50, p99 = np.percentile(times_s, (50, 99)) * 1e3
    rate = len(times_s) / wall_s if wall_s else 0.0
    per_core = len(times_s) / cpu_s if cpu_s else 0.0
    return Timing(float(p50), float(p99), rate, per_core, len(times_s), asked)


def tables(results: Results, sizes: Sequence[int], peers: Sequence[str]) -> list[str]:
    """Return a table for each size, as lines of Markdown: rows down, peers across."""
    lines: list[str] = []
    for size in sizes:
        measured = {place.peer for place in (*results.timings, *results.values)
                    if place.size == size}  # fmt: skip
        names = [peer for peer in peers if peer in measured]
        if names:
            lines += [f"### {size:,} entries", "", *_one(results, size, names), ""]
    return lines


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def _one(results: Results, size: int, peers: Sequence[str]) -> list[str]:
    kinds: dict[tuple[Row, int], None] = {}
    for place in (*results.timings, *results.values):
        if place.size == size:
            kinds[place.row, place.clients] = None
    rows = []
    for row, clients in sorted(kinds, key=lambda kind: (list(Row).index(kind[0]), kind[1])):
        places = [Place(size, peer, row, clients) for peer in peers]
        rows += _lines(results, row, clients, places)
    return markdown(("", *peers), rows)


def _lines(results: Results, row: Row, clients: int, places: Sequence[Place]) -> list[list[str]]:
    if not clients:
        values = [results.values.get(place) for place in places]
        return [[row, *("" if each is None else _plain(row, median(each)) for each in values)]]
    label = f"{row}, {clients} client{'s' if clients > 1 else ''}"
    rounds = [results.timings.get(place, []) for place in places]
    lines = [[f"{label}: p50 / p99, ms", *(_times(each) for each in rounds)]]
    if clients > 1:
        lines.append([f"{label}: requests/s", *(_rates(each, "rate") for each in rounds)])
        per_core = [_rates(each, "per_core") for each in rounds]
        lines.append([f"{label}: requests/s per core used", *per_core])
    return lines


def _plain(row: Row, value: float) -> str:
    return f"{value:.2f}" if row is Row.RESTART else f"{value:,.0f}"


def _times(rounds: Sequence[Timing]) -> str:
    if not rounds:
        return ""
    share = _share(rounds)
    if share < LEAST_SHARE:
        return f"only {share:.0%} were"
    p50 = median(each.p50_ms for each in rounds)
    p99 = median(each.p99_ms for each in rounds)
    return f"{p50:.2f} / {p99:.2f}" + (f" ({share:.1%})" if share < WHOLE_SHARE else "")


def _rates(rounds: Sequence[Timing], which: str) -> str:
    if not rounds or _share(rounds) < LEAST_SHARE:
        return ""
    return f"{median(getattr(each, which) for each in rounds):,.0f}"


def _share(rounds: Sequence[Timing]) -> float:
    return sum(each.counted for each in rounds) / max(1, sum(each.asked for each in rounds))


@dataclass(frozen=True, slots=True)
class Served:
    """What a peer made of the demo's prompts: counts by kind, of prompts asked and of answers."""

    asked: Mapping[str, int]
    right: Mapping[str, int]
    wrong: Mapping[str, int]


def truth(served: Mapping[str, Served]) -> list[str]:
    """Return the table of right and wrong answers from the caches, as lines of Markdown."""
    head = ("", "traps served wrongly", "paraphrases served rightly",
            "repeats served rightly", "wrong answers in all")  # fmt: skip
    rows = []
    for peer, each in served.items():
        asked = each.asked
        rows.append([
            peer,
            f"{each.wrong.get('trap', 0)} of {asked.get('trap', 0)}",
            f"{each.right.get('paraphrase', 0)} of {asked.get('paraphrase', 0)}",
            f"{each.right.get('repeat', 0)} of {asked.get('repeat', 0)}",
            f"{sum(each.wrong.values())} of {sum(asked.values())}",
        ])  # fmt: skip
    return markdown(head, rows)
