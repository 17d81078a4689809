"""Figures of the overhead benchmark, and the table they are printed as."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

PACKAGES = ("kindcache", "uvicorn", "uvloop", "httptools", "aiohttp", "onnxruntime", "hnswlib")
MARKS = ("<!-- overhead, scorer {}: begin -->", "<!-- overhead, scorer {}: end -->")
HEADS = ("entries", "what", "clients", "p50 ms", "p99 ms", "requests/s", "counted", "p50 by round")


@dataclass(frozen=True, slots=True)
class Row:
    """What is measured. ``target_ms`` bounds the median."""

    entries: int | None
    what: str
    clients: int = 1
    target_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """One round's outcome of a row. ``rate`` in requests a second, None = not meaningful."""

    p50_ms: float
    p99_ms: float
    rate: float | None
    counted: int
    asked: int


def figures(times_s: Sequence[float], asked: int, wall_s: float | None = None) -> Figures:
    """Summarise the times of the requests that count, out of ``asked``."""
    p50, p99 = np.percentile(times_s, (50, 99)) * 1e3
    rate = None if wall_s is None else len(times_s) / wall_s
    return Figures(float(p50), float(p99), rate, len(times_s), asked)


class Results:
    """Figures by row, in the order in which rows first came."""

    def __init__(self) -> None:
        self._rounds: dict[Row, list[Figures]] = {}

    def add(self, row: Row, measured: Figures) -> None:
        """Add one round's figures."""
        self._rounds.setdefault(row, []).append(measured)

    def lines(self, about: Sequence[str], *, markdown: bool) -> list[str]:
        """Return the report: what was measured where, then the table of medians over rounds."""
        cells = [_cells(row, rounds) for row, rounds in sorted(self._rounds.items(), key=_place)]
        table = _markdown(cells) if markdown else _plain(cells)
        met = [f"Reached: {_verdict(row, rounds)}" for row, rounds in self._with_target()]
        bullet = "- " if markdown else ""
        return [*(bullet + line for line in about), "", *table, "", *(bullet + m for m in met)]

    def _with_target(self) -> list[tuple[Row, list[Figures]]]:
        items = sorted(self._rounds.items(), key=_place)
        return [(row, rounds) for row, rounds in items if row.target_ms is not None]


def machine(packages: Sequence[str] = PACKAGES) -> list[str]:
    """Describe the machine and the versions of ``packages``."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(": ")[2] if names else model
    busy = f"load average {os.getloadavg()[0]:.1f} at the start"
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return [
        f"Machine: {model}, {os.cpu_count()} cores, {platform.system()}, {busy}",
        f"Versions: Python {platform.python_version()}, {versions}",
    ]


def _place(item: tuple[Row, list[Figures]]) -> int:
    return item[0].entries or 0  # the sort is stable: rows of one size keep their order


def _cells(row: Row, rounds: Sequence[Figures]) -> list[str]:
    p50s = [each.p50_ms for each in rounds]
    rates = [each.rate for each in rounds if each.rate is not None]
    return [
        "" if row.entries is None else f"{row.entries:,}",
        row.what,
        str(row.clients),
        f"{median(p50s):.2f}",
        f"{median(each.p99_ms for each in rounds):.2f}",
        f"{median(rates):,.0f}" if rates else "",
        f"{sum(each.counted for each in rounds)}/{sum(each.asked for each in rounds)}",
        f"{min(p50s):.2f} to {max(p50s):.2f}",
    ]


def _verdict(row: Row, rounds: Sequence[Figures]) -> str:
    p50_ms = median(each.p50_ms for each in rounds)
    word = "yes" if row.target_ms is not None and p50_ms <= row.target_ms else "NO"
    size = "" if row.entries is None else f" at {row.entries:,} entries"
    return f"{word}: {row.what}{size}, p50 {p50_ms:.2f} ms, wanted {row.target_ms:g} ms"


def _markdown(cells: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---:" if name != "what" else "---" for name in HEADS]
    return [f"| {' | '.join(line)} |" for line in (HEADS, rule, *cells)]


def _plain(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in (HEADS, *cells)) for i in range(len(HEADS))]
    return [
        "  ".join(
            text.ljust(width) if HEADS[i] == "what" else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (HEADS, *cells)
    ]
