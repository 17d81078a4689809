"""A model of a fleet: what hits, what it costs, and what must be held. No measurement, no I/O.

Traffic: scopes (tenants) by Zipf's law, each with questions of its own by Zipf's law; a hit needs
the same scope. What an LRU cache of a given size hits of such traffic is Che's approximation (Che,
Tung, Wang, "Hierarchical Web Caching Systems", IEEE JSAC 20(7), 2002): an entry is there if it was
asked within a characteristic time T, and T is such that as many are there as have room.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

BINS = 48  # of a scope's questions, by the logarithm of their rank
POINTS = 256  # of each cell on the ring


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured constants; see ``constants.py``."""

    exact_us: float
    semantic_us: float
    miss_us: float
    follow_us: float  # to take in what another replica stored
    follow_bytes: float  # that Redis sends for that
    base_bytes: float
    entry_bytes: float
    redis_entry_bytes: float
    redis_in_bytes: float  # a miss, which is stored
    redis_miss_us: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of the fleet."""

    rate: float  # requests a second
    entries: int  # room, in all
    semantic_share: float  # of the hits
    cores: float  # that one replica can use
    use: float  # share of them that may be used


@dataclass(frozen=True, slots=True)
class Traffic:
    """Questions in groups: how many, how often each is asked (share of all), and whose they are."""

    number: Array  # (scopes, BINS)
    share: Array  # (scopes, BINS)

    @property
    def by_scope(self) -> Array:
        """Each scope's share of all requests."""
        return np.asarray((self.number * self.share).sum(axis=1))


@dataclass(frozen=True, slots=True)
class Layout:
    """A fleet of cells, each with replicas and a Redis of its own, and what comes of it."""

    cells: int
    replicas: int  # of the busiest cell; 0 = no number is enough
    replicas_in_all: int
    hit_rate: float
    busiest: float  # load of the busiest cell, 1 = the mean
    memory_bytes: float  # of a replica
    following: float  # share of a replica's processor
    stream_bytes_s: float  # that the busiest cell's Redis sends to its replicas
    redis_cores: float
    redis_bytes: float


def traffic(scopes: int, skew: float, questions: int, question_skew: float) -> Traffic:
    """Make traffic: ``questions`` in all, over scopes as the 0.7th power of their share.

    Busy scopes have more questions, but not in proportion: their popular ones are asked more.
    """
    weights = 1.0 / np.arange(1, scopes + 1) ** skew
    weights /= weights.sum()
    spread = weights**0.7
    own = np.maximum(1.0, questions * spread / spread.sum())
    edges = np.unique(np.geomspace(1, own.max() + 1, BINS + 1).round())
    middles, number = np.sqrt(edges[:-1] * edges[1:]), np.diff(edges)
    held = np.clip(own[:, None] - edges[:-1], 0.0, number)  # what of each bin a scope has
    popularity = held * middles**-question_skew
    share = weights[:, None] * middles**-question_skew / popularity.sum(axis=1, keepdims=True)
    return Traffic(held, share)


def hit_rate(asked: Traffic, room: float) -> float:
    """Return the share of ``asked`` that an LRU cache of ``room`` entries hits."""
    number, share = asked.number.ravel(), asked.share.ravel()
    total = float((number * share).sum())
    if not total:
        return 0.0
    time = _time(asked, room)
    return float((number * share * -np.expm1(-share * time)).sum()) / total


def _there(number: Array, share: Array, time: float) -> float:
    return float((number * -np.expm1(-share * time)).sum())


def ring(scopes: int, cells: int, seed: int) -> NDArray[np.int64]:
    """Return the cell of each scope by consistent hashing."""
    points = sorted(
        (_digest(f"{seed} cell {cell} {point}"), cell)
        for cell in range(cells)
        for point in range(POINTS)
    )
    places = [place for place, _ in points]
    found = (bisect(places, _digest(f"{seed} scope {scope}")) for scope in range(scopes))
    return np.array([points[place % len(points)][1] for place in found])


def modulo(scopes: int, cells: int, seed: int) -> NDArray[np.int64]:
    """Return the cell of each scope by a hash modulo the number of cells."""
    return np.array([_digest(f"{seed} scope {scope}") % cells for scope in range(scopes)])


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def moved(asked: Traffic, before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """Return the share of requests whose scope has another cell now."""
    return float(asked.by_scope[before != after].sum())


def layout(asked: Traffic, of: NDArray[np.int64], demand: Demand, costs: Costs) -> Layout:
    """Say what a fleet takes whose cells are ``of`` each scope.

    Each cell has its share of the room; each of its replicas holds all of that.
    """
    cells = int(of.max()) + 1
    loads = np.bincount(of, weights=asked.by_scope, minlength=cells)
    room = demand.entries / cells
    hits = [
        hit_rate(Traffic(asked.number[of == cell], asked.share[of == cell]), room)
        for cell in range(cells)
    ]
    needed = [
        _replicas(load * demand.rate, hit, demand, costs)
        for load, hit in zip(loads, hits, strict=True)
    ]
    top = int(np.argmax(loads))
    stored = loads[top] * demand.rate * (1 - hits[top])
    possible = min(needed) > 0
    return Layout(
        cells=cells,
        replicas=needed[top] if possible else 0,
        replicas_in_all=sum(needed) if possible else 0,
        hit_rate=float(np.dot(loads, hits)),
        busiest=float(loads[top] * cells),
        memory_bytes=costs.base_bytes + room * costs.entry_bytes,
        following=stored * costs.follow_us * 1e-6 / demand.cores,
        stream_bytes_s=stored * costs.follow_bytes * max(needed[top] - 1, 0),
        redis_cores=stored * costs.redis_miss_us * 1e-6,
        redis_bytes=room * costs.redis_entry_bytes,
    )


def _replicas(rate: float, hit: float, demand: Demand, costs: Costs) -> int:
    """Return how many replicas a cell needs; at least two, 0 = no number is enough.

    Each one takes in what all others store: beyond some rate of misses it does nothing else.
    """
    semantic = hit * demand.semantic_share
    own_us = (
        (hit - semantic) * costs.exact_us + semantic * costs.semantic_us + (1 - hit) * costs.miss_us
    )
    usable = demand.cores * demand.use
    left = usable - rate * (1 - hit) * costs.follow_us * 1e-6
    if left <= 0.0:
        return 0
    return max(2, int(np.ceil(rate * own_us * 1e-6 / left)))


def alone(asked: Traffic, replicas: int, demand: Demand) -> float:
    """Return the hit rate where requests go to any replica and nothing is told between them.

    Answers are in the store for all, so that hits to the letter stay; hits by meaning are only
    found by a replica that stored the answer itself, with room for all entries each.
    """
    whole = hit_rate(asked, demand.entries)
    # Of an entry within reach of the store, this replica has it if it was asked here.
    time = _time(asked, demand.entries)
    here = float((asked.number * asked.share * -np.expm1(-asked.share / replicas * time)).sum())
    return whole * (1 - demand.semantic_share) + here * demand.semantic_share


def _time(asked: Traffic, room: float) -> float:
    """Return the characteristic time, in requests."""
    number, share = asked.number.ravel(), asked.share.ravel()
    if number.sum() <= room:
        return float("inf")
    low, high = 0.0, 1.0
    while _there(number, share, high) < room:
        high *= 4.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _there(number, share, middle) < room else (low, middle)
    return high
