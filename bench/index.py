"""Measure how vectors are kept: recall, latency, memory and building time, by number of entries.

    python bench/index.py                              # 10,000 and 100,000, some minutes
    python bench/index.py --sizes 1000000 --queries 200 --rounds 3   # half an hour, 8 GB
    python bench/index.py --into docs/performance.md   # writes the marked section
    python bench/index.py --kinds float32 int8
    python bench/index_stages.py                       # flat, slab and graph of float32, by size

Each kind has a process of its own with a table and one category in one partition, filled the way
the cache fills it. All of one size are alive together and searched in turn, so that other load on
the machine meets them alike. Prompts and vectors: ``index_vectors.py``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import get_args

import marked
import numpy as np
from index_child import Filled, Searched, serve
from index_vectors import FLOOR, Prompts, load
from overhead_table import machine

from kindcache.cache.index.choose import Vectors
from kindcache.cache.ports import Vector

MARKS = ("<!-- index: begin -->", "<!-- index: end -->")
SIZES = (10_000, 100_000)
HEADS = (
    "entries",
    "vectors",
    "nearest is first, among 5",
    "stated too low: mean, most",
    "search p50 µs",
    "p99 µs",
    "admit µs",
    "build s",
    "bytes an entry",
    "prompt, what guards read of it",
    "without both, while building",
)
CONTEXT = get_context("spawn")
NEAR = 1e-5  # rounding of a product in float32


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind at one size."""

    count: int
    kind: str
    filled: Filled
    rounds: Sequence[Searched]
    recall: float
    among: float  # share of queries whose nearest is among those found
    lost: Vector  # by how much too low each first neighbour is stated

    def cells(self) -> list[str]:
        """Return the row of the table."""
        filled = self.filled
        text = filled.text_bytes + filled.read_bytes
        return [
            f"{self.count:,}",
            self.kind,
            f"{self.recall:.3f}, {self.among:.3f}",
            f"{self.lost.mean():.4f}, {self.lost.max():.4f}",
            f"{median(one.p50_us for one in self.rounds):.0f}",
            f"{median(one.p99_us for one in self.rounds):.0f}",
            f"{filled.add_us:.0f}",
            f"{filled.build_s:.0f}",
            f"{filled.all_bytes - text:,.0f}",
            f"{filled.text_bytes:,.0f}, {filled.read_bytes:,.0f}",
            f"{filled.peak_bytes - text:,.0f}",
        ]


def measured(
    prompts: Prompts, count: int, kinds: Sequence[Vectors], queries: int, rounds: int
) -> list[Measured]:
    """Measure ``kinds`` beside each other with ``count`` entries."""
    asked, truth = prompts.nearest(count, queries)
    with processes(kinds, count) as pipes:
        filled = [pipe.recv() for pipe in pipes]
        found: list[list[Searched]] = [[] for _ in kinds]
        for number in range(rounds + 1):
            for pipe, results in zip(pipes, found, strict=True):
                pipe.send(asked)
                result = pipe.recv()
                if number:  # the first warms up
                    results.append(result)
    rows = prompts.rows(count, {int(row) for one in found for row in one[0].found.flat})
    made = []
    for kind, what, results in zip(kinds, filled, found, strict=True):
        near = np.array(
            [
                [rows[row] @ query for row in places]
                for places, query in zip(results[0].found.tolist(), asked, strict=True)
            ]
        )
        right = near >= truth[:, None] - NEAR
        recall, among = float(right[:, 0].mean()), float(right.any(axis=1).mean())
        lost = near[:, 0] - results[0].stated
        made.append(Measured(count, kind, what, results, recall, among, lost))
    return made


@contextmanager
def processes(kinds: Sequence[Vectors], count: int) -> Iterator[list[Connection]]:
    """Start a process a kind, each when the one before has filled; they end with the block."""
    pipes: list[Connection] = []
    started = []
    try:
        for kind in kinds:
            here, there = CONTEXT.Pipe()
            process = CONTEXT.Process(target=serve, args=(there, kind, count), daemon=True)
            process.start()
            started.append(process)
            there.close()
            here.poll(None)  # one fills at a time: they would disturb each other
            pipes.append(here)
        yield pipes
    finally:
        for pipe in pipes:
            with suppress(BrokenPipeError):  # it has failed, and said why
                pipe.send(None)
        for process in started:
            process.join(30)


def page(results: Sequence[Measured], prompts: Prompts, about: Sequence[str]) -> str:
    """Return what stands between the marks."""
    source = "queries of the evaluation streams" if prompts.real else "DRAWN, no real prompts"
    made = f"{len(prompts.vectors):,} {source}, beyond their number made between two of them"
    facts = [*about, f"Vectors: {made}", f"Searches for 5; queries have a neighbour above {FLOOR}"]
    rule = ["---:" if head != "vectors" else "---" for head in HEADS]
    table = [f"| {' | '.join(line)} |" for line in (HEADS, rule, *(r.cells() for r in results))]
    return "\n".join([*(f"- {fact}" for fact in facts), "", *table])


def main() -> None:
    """Measure, print, and write into a page if asked."""
    parser = argparse.ArgumentParser(description="Measure how vectors are kept.")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--kinds", nargs="+", choices=get_args(Vectors), default=get_args(Vectors))
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=Path, help="page whose marked section is replaced")
    options = parser.parse_args()
    began = time.monotonic()
    about = machine(("kindcache", "numpy", "hnswlib", "usearch"))
    prompts = load()
    results = [
        one
        for count in options.sizes
        for one in measured(prompts, count, options.kinds, options.queries, options.rounds)
    ]
    about += [
        f"Command: python bench/index.py {' '.join(sys.argv[1:])}",
        f"Searches: {options.queries} at most, medians over {options.rounds} rounds in turn",
        f"Took {time.monotonic() - began:.0f} s",
    ]
    text = page(results, prompts, about)
    print(text)
    if options.into:
        marked.replace(options.into, MARKS, text)


if __name__ == "__main__":
    main()
