"""Stores of known sizes, filled through the proxy as its users would."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop
from load_client import Response, load
from questions import CATEGORY, Question
from servers import Server, proxy

CLIENTS = 16
BATCH = 500


@dataclass(frozen=True, slots=True)
class Filled:
    """A store at rest in ``folder``, the questions it answers, and some that are new to it."""

    folder: Path
    size: int
    stored: Sequence[Question]
    new: Sequence[Question]


def tier(response: Response) -> str:
    """Return how the one category answered: "exact", "semantic" or "miss"; "other" = it did not."""
    if response.status != 200 or response.header("x-cache-category") != CATEGORY:
        return "other"
    if response.header("x-cache") == "MISS":
        return "miss"
    return response.header("x-cache-tier")


def fill(
    root: Path, sizes: Sequence[int], drawn: Sequence[Question], model: Server
) -> list[Filled]:
    """Fill a store to each of ``sizes``, in rising order, with questions from ``drawn``.

    All entries that count lie in one category and one partition, so that one index has the size.
    They answer for ``model`` alone: another port is another upstream.
    """
    growing = root / "growing"
    growing.mkdir()
    filled: list[Filled] = []
    stored: list[Question] = []
    new = drawn
    for size in sizes:
        with proxy(growing, model.port) as server:
            while len(stored) < size:
                count = min(BATCH, size - len(stored))
                batch, new = new[:count], new[count:]
                if not batch:
                    raise SystemExit(f"the questions do not fill {size:,} entries")
                stored += uvloop.run(store(server, batch))
        folder = root / f"filled-{size}"
        shutil.copytree(growing, folder)
        filled.append(Filled(folder, size, tuple(stored), ()))
    return [replace(each, new=new) for each in filled]  # what is new to the fullest is new to all


async def store(server: Server, batch: Sequence[Question]) -> list[Question]:
    """Ask ``batch``; return the questions whose answers are now stored in the category."""
    parts = [batch[first::CLIENTS] for first in range(CLIENTS)]
    loads = await asyncio.gather(
        *(load(server.port, [question.request() for question in part]) for part in parts)
    )
    return [
        question
        for part, sent in zip(parts, loads, strict=True)
        for question, response in zip(part, sent.responses, strict=True)
        if tier(response) == "miss" and "; stored" in response.header("cache-status")
    ]
