"""What the load experiment asks: prompts with keys, at the times and lengths of a real trace.

Vectors and log-odds are made once and kept in a folder outside the repository, under the identity
of the model that made them: other weights, other files.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from random import Random

import numpy as np
from load_server import Work, capacity_per_s

from kindcache.adapters.evaluation.data import Query, load_stream
from kindcache.cache.ports import Embedder, PairScorer, Vector
from kindcache.policies.fusion import Fusion

STREAMS = ("bitext_support", "banking77", "clinc150")
TRACE = "azure_conv_2023"


@dataclass(frozen=True, slots=True)
class Phase:
    """So many seconds at this share of what the server can do."""

    seconds: float
    load: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """One call: when, what, and how much of the server it needs."""

    at_s: float
    query: Query
    work: Work


def arrivals(data: Path, phases: Sequence[Phase], seed: int) -> list[Arrival]:
    """Return the calls of all phases. The trace's own bursts stay; its mean rate is set."""
    trace = _trace(data / "arrivals" / f"{TRACE}.csv.gz")
    queries = iter(_mixed(data, seed))
    capacity = capacity_per_s([work for _, work in trace])
    made: list[Arrival] = []
    begin_s, place = 0.0, 0
    for phase in phases:
        number = round(phase.seconds * phase.load * capacity)
        part = trace[place : place + number + 1]
        scale = phase.seconds / (part[-1][0] - part[0][0])
        for at_s, work in part[:-1]:
            made.append(Arrival(begin_s + (at_s - part[0][0]) * scale, next(queries), work))
        begin_s += phase.seconds
        place += number
    return made


def _trace(path: Path) -> list[tuple[float, Work]]:
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    first = _time_s(rows[0]["TIMESTAMP"])
    return [
        (
            _time_s(row["TIMESTAMP"]) - first,
            Work(int(row["ContextTokens"]), int(row["GeneratedTokens"])),
        )
        for row in rows
    ]


def _time_s(text: str) -> float:
    return datetime.fromisoformat(text[:26] + "+00:00").timestamp()


def _mixed(data: Path, seed: int) -> list[Query]:
    """Return all streams as one, each in its own order, mixed evenly."""
    draw = Random(seed)
    streams = [load_stream(data / "streams" / f"{name}.jsonl.gz") for name in STREAMS]
    order = [n for n, stream in enumerate(streams) for _ in stream]
    draw.shuffle(order)
    places = [iter(stream) for stream in streams]
    return [next(places[n]) for n in order]


@dataclass(slots=True)
class KnownEmbedder:
    """Vectors of an embedder, asked once for each text."""

    inner: Embedder
    folder: Path
    vectors: dict[str, Vector] = field(default_factory=dict)
    _new: int = 0

    @property
    def identity(self) -> str:
        """Name the model."""
        return self.inner.identity

    @property
    def dim(self) -> int:
        """Return the length of the vectors."""
        return self.inner.dim

    async def embed(self, text: str) -> Vector | None:
        """Return what is known, else ask."""
        key = _digest(text)
        if key not in self.vectors:
            vector = await self.inner.embed(text)
            if vector is None:
                return None
            self.vectors[key] = vector
            self._new += 1
        return self.vectors[key]

    async def open(self) -> None:
        """Open the embedder and read what earlier runs made."""
        await self.inner.open()
        file = self._file()
        if file.is_file():
            with np.load(file) as kept:
                self.vectors = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    async def aclose(self) -> None:
        """Close the embedder; keep what is new."""
        if self._new:
            keys = np.array(list(self.vectors), dtype="U20")
            np.savez(self._file(), keys=keys, vectors=np.stack(list(self.vectors.values())))
            self._new = 0
        await self.inner.aclose()

    def _file(self) -> Path:
        return self.folder / f"vectors-{_digest(self.identity)}.npz"


@dataclass(slots=True)
class KnownScorer:
    """Log-odds of a scorer, asked once for each pair."""

    inner: PairScorer
    folder: Path
    known: dict[str, float | None] = field(default_factory=dict)
    asked: int = 0

    @property
    def identity(self) -> str:
        """Name the model."""
        return self.inner.identity

    @property
    def fusion(self) -> Fusion:
        """Return how its log-odds become a probability."""
        return self.inner.fusion

    async def score(self, asked: str, stored: str) -> float | None:
        """Return what is known, else ask."""
        pair = _digest(f"{asked}\0{stored}")
        if pair not in self.known:
            self.known[pair] = await self.inner.score(asked, stored)
            self.asked += 1
        return self.known[pair]

    async def open(self) -> None:
        """Open the scorer and read what earlier runs made."""
        await self.inner.open()
        if self._file().is_file():
            self.known = json.loads(self._file().read_text())

    async def aclose(self) -> None:
        """Close the scorer; keep what is new."""
        if self.asked:
            self._file().write_text(json.dumps(self.known))
            self.asked = 0
        await self.inner.aclose()

    def _file(self) -> Path:
        return self.folder / f"log-odds-{_digest(self.identity)}.json"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=10).hexdigest()
