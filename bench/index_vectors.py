"""Prompts and vectors for the index benchmark, in any number, the same ones each time.

With ``KINDCACHE_EVALDATA`` they are the queries of its streams, embedded by the default model. Of
them ``HELD`` are kept back to search with. Beyond their number, vectors are made between two of
them: three parts of one, one part of another, and a little noise, so that they lie as real ones
do. Without the data they are drawn around topics, which is easier; the table says so.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindcache.cache.embedders.choose import choose
from kindcache.cache.ports import Matrix, Vector
from kindcache.config.settings import Settings

DIM = 384
HELD = 2_000
BATCH = 1_000
PARTS = (0.75, 0.25, 0.25)  # of one vector, of another one, of noise
FLOOR = 0.7  # queries whose nearest neighbour is less similar than the default floor do not count


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts and their vectors, and vectors to search with."""

    texts: Sequence[str]
    vectors: Matrix
    queries: Matrix
    real: bool

    def batches(self, count: int) -> Iterator[tuple[list[str], Matrix]]:
        """Yield ``count`` texts and vectors: those there are, then others made of them."""
        for start in range(0, count, BATCH):
            end = min(count, start + BATCH)
            rng = np.random.default_rng(start)
            ready = max(0, min(end, len(self.vectors)) - start)
            made = self._made(rng, end - start - ready)
            texts = [self._text(at) for at in range(start, end)]
            yield texts, np.concatenate((self.vectors[start : start + ready], made))

    def rows(self, count: int, wanted: Collection[int]) -> Mapping[int, Vector]:
        """Return the vectors at places ``wanted`` of ``count``."""
        found: dict[int, Vector] = {}
        for number, (_, rows) in enumerate(self.batches(count)):
            start = number * BATCH
            here = (at for at in wanted if start <= at < start + len(rows))
            found.update((at, rows[at - start].copy()) for at in here)
        return found

    def nearest(self, count: int, queries: int) -> tuple[Matrix, Vector]:
        """Return ``queries`` vectors to search with, and how near the nearest of ``count`` is."""
        best = np.full(len(self.queries), -1.0, dtype=np.float32)
        for _, rows in self.batches(count):
            best = np.maximum(best, (self.queries @ rows.T).max(axis=1))
        chosen = np.flatnonzero(best >= FLOOR)[:queries]
        return self.queries[chosen], best[chosen]

    def _text(self, at: int) -> str:
        again, which = divmod(at, len(self.texts))
        return self.texts[which] if again == 0 else f"{self.texts[which]} ({again})"

    def _made(self, rng: np.random.Generator, count: int) -> Matrix:
        one, other = rng.integers(0, len(self.vectors), (2, count))
        noise = rng.standard_normal((count, DIM), dtype=np.float32) / DIM**0.5
        rows = PARTS[0] * self.vectors[one] + PARTS[1] * self.vectors[other] + PARTS[2] * noise
        return unit(rows)


def unit(rows: NDArray[np.floating[Any]]) -> Matrix:
    """Return ``rows`` at length 1."""
    scaled: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def load() -> Prompts:
    """Return the prompts; real ones are embedded once and kept beside temporary files."""
    folder = os.environ.get("KINDCACHE_EVALDATA")
    if not folder:
        return _drawn()
    texts = _read(Path(folder) / "streams")
    digest = blake2b("\n".join(texts).encode(), digest_size=8).hexdigest()
    kept = Path(tempfile.gettempdir()) / f"kindcache-bench-{digest}.npy"
    if not kept.exists():
        print(f"Embedding {len(texts):,} prompts, about half a minute", file=sys.stderr)
        np.save(kept, asyncio.run(_embedded(texts)))
    vectors = np.load(kept)
    known = np.flatnonzero(np.isfinite(vectors[:, 0]))  # the others were too long
    order = np.random.default_rng(1).permutation(known)
    stored, held = order[HELD:], order[:HELD]
    return Prompts([texts[at] for at in stored], vectors[stored], vectors[held], real=True)


def _read(folder: Path) -> list[str]:
    texts: dict[str, None] = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            texts.update((json.loads(line)["text"], None) for line in file)
    return list(texts)


async def _embedded(texts: Sequence[str]) -> Matrix:
    embedder = choose(Settings().embedder, "", lambda line: print(line, file=sys.stderr))
    await embedder.open()
    rows = np.full((len(texts), DIM), np.nan, dtype=np.float32)
    try:
        for start in range(0, len(texts), 64):
            part = await asyncio.gather(*map(embedder.embed, texts[start : start + 64]))
            for at, vector in enumerate(part, start):
                if vector is not None:
                    rows[at] = vector
    finally:
        await embedder.aclose()
    return rows


def _drawn() -> Prompts:
    rng = np.random.default_rng(0)
    count = 20_000 + HELD
    topics = rng.standard_normal((400, DIM), dtype=np.float32)
    rows = unit(0.9 * topics[rng.integers(0, 400, count)] + rng.standard_normal((count, DIM)))
    near = unit(rows[:HELD] + rng.standard_normal((HELD, DIM)) * (0.5 / DIM**0.5))
    texts = [f"How do I change setting {number} of my device?" for number in range(count)]
    return Prompts(texts, rows, near, real=False)
