"""Measure what the cache costs and saves, through HTTP on this machine.

    python bench/overhead.py                       # a table, in a few minutes
    python bench/overhead.py --markdown --into docs/performance.md
    python bench/overhead.py --rounds 1 --sizes 1000

One process each: the proxy (``kindcache serve``, shipped policies), a simulated model, and this
client. A store is filled through the proxy once for each size; every round then starts a new proxy
on a copy of it, waits until it rests, and measures. A request counts only if the answer's
``X-Cache`` headers say that it was what its row says. Figures are medians over rounds.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop
from load_client import Load, Response, alternate, load
from overhead_table import Figures, Results, Row, figures, machine, write_into
from questions import CATEGORY, OTHERS, Question, questions
from servers import Server, proxy, settle, upstream

SIZES = (1_000, 10_000)
FILL_CLIENTS = 16
WARM_UP = 100
COUNTED_LEAST = 0.8  # of a row's requests; fewer means that the row is not what it says
EXACT_MS, SEMANTIC_MS, MISS_MS = 0.6, 2.5, 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How many requests a row takes, by its clients: one, or ``clients``."""

    clients: int
    exact: tuple[int, int] = (2_000, 4_000)
    semantic: tuple[int, int] = (500, 1_000)
    misses: tuple[int, int] = (400, 800)
    streams: int = 200

    @property
    def new_questions(self) -> int:
        """Count the questions that must not be stored before a round."""
        return sum(self.misses) + self.streams + WARM_UP


@dataclass(frozen=True, slots=True)
class Filled:
    """A store on disk, what it holds in one index, and what it does not hold."""

    folder: Path
    size: int
    stored: Sequence[Question]
    new: Sequence[Question]


def tier(response: Response) -> str:
    """Return "exact", "semantic", "miss", or "other"."""
    if response.status != 200 or response.header("x-cache-category") != CATEGORY:
        return "other"
    if response.header("x-cache") == "MISS":
        return "miss"
    return response.header("x-cache-tier")


def fill(root: Path, sizes: Sequence[int], drawn: Sequence[Question], plan: Plan) -> list[Filled]:
    """Fill one store to each of ``sizes`` in turn, and keep a copy of each."""
    filled: list[Filled] = []
    growing = root / "growing"
    growing.mkdir()
    stored: list[Question] = []
    asked = 0
    with upstream(growing, 0.0) as model:
        for size in sorted(sizes):
            say(f"filling a store to {size:,} entries")
            with proxy(growing, model.port) as server:
                while len(stored) < size:
                    batch = drawn[asked : asked + min(500, size - len(stored))]
                    if not batch:
                        raise SystemExit(f"there are not enough questions for {size:,} entries")
                    asked += len(batch)
                    stored += uvloop.run(store(server, batch))
            folder = root / f"filled-{size}"
            shutil.copytree(growing, folder)
            filled.append(Filled(folder, size, tuple(stored), drawn[asked:]))
    new = filled[-1].new  # what is new to the fullest store is new to all
    if len(new) < plan.new_questions:
        raise SystemExit("there are not enough questions left to ask")
    return [Filled(each.folder, each.size, each.stored, new) for each in filled]


async def store(server: Server, batch: Sequence[Question]) -> list[Question]:
    """Ask new questions; return those whose answers are now stored in the one category."""
    kept: list[Question] = []

    async def ask(part: Sequence[Question]) -> None:
        sent = await load(server.port, [question.request() for question in part], 1)
        kept.extend(
            question
            for question, response in zip(part, sent.responses, strict=True)
            if tier(response) == "miss" and "; stored" in response.header("cache-status")
        )

    async with asyncio.TaskGroup() as group:
        for start in range(FILL_CLIENTS):
            group.create_task(ask(batch[start::FILL_CLIENTS]))
    return kept
