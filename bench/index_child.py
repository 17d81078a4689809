"""One kind of index in a process of its own, so that what it holds can be seen from outside."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from hashlib import blake2b
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from statistics import median
from threading import Thread

import numpy as np
from index_vectors import DIM, Prompts, load
from msgspec.msgpack import encode
from numpy.typing import NDArray

from kindcache.cache.entries.entry_rows import Entry
from kindcache.cache.entries.heap import give_back
from kindcache.cache.entries.occupancy import Occupancy
from kindcache.cache.entries.table import Table
from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.index.choose import Vectors, choose
from kindcache.cache.index.coding import Coding
from kindcache.cache.ports import EntryKey, Matrix, PartitionKey, Vector
from kindcache.policies.allotment import Allotment
from kindcache.policies.guards.signature import signature
from kindcache.policies.room import Limits, Room

K = 5  # as many as a lookup asks for
HOME = PartitionKey(bytes(16))
ADDED = 500
TELL_S = 10.0


@dataclass(frozen=True, slots=True)
class Filled:
    """What it took to fill a table and its index. Bytes are an entry's share."""

    all_bytes: float  # resident, with all text
    text_bytes: float  # prompts
    read_bytes: float  # what the guards read in them: words, names, numbers
    peak_bytes: float  # at the most, while the graph was built
    build_s: float
    add_us: float  # one more entry, p50


@dataclass(frozen=True, slots=True)
class Searched:
    """One round of searches."""

    p50_us: float
    p99_us: float
    found: NDArray[np.int64]  # (queries, K) neighbours, numbered by admission
    stated: Vector  # (queries,) similarity of the first as the index states it


def serve(pipe: Connection, vectors: Vectors, count: int) -> None:
    """Fill a table with ``count`` entries, then search it whenever queries come; None ends it."""
    prompts = load()
    coding = choose(vectors)
    allotment = Allotment(Room(Limits(2 * count)))
    table = Table(Occupancy(allotment, time.time, Random(1)), partial(_index, coding))
    _warm(coding, prompts)
    pipe.send(_fill(table, prompts, vectors, count))
    while (queries := pipe.recv()) is not None:
        pipe.send(_search(table, queries))


def _warm(coding: Callable[[int], Coding], prompts: Prompts) -> None:
    """Load libraries, and make once what each batch makes and leaves."""
    coding(DIM).graph(1).add_many([0], prompts.vectors[:1])
    for texts, _ in prompts.batches(1):
        list(_entries(texts, 0))


def _index(coding: Callable[[int], Coding], _category: str) -> CategoryIndex:
    return CategoryIndex(DIM, coding=coding)


def _fill(table: Table, prompts: Prompts, name: str, count: int) -> Filled:
    before = _settled()
    text_bytes = read_bytes = 0
    for texts, rows in prompts.batches(count):
        for entry, row in zip(_entries(texts, len(table)), rows, strict=True):
            table.admit(entry, row)
            text_bytes += len(entry.prompt.encode())
            read_bytes += len(encode(astuple(entry.signature)))
        if len(table) % 10_000 == 0:
            print(f"{name}: {len(table):,} of {count:,} entries", file=sys.stderr)
    build_s, peak = _built(table, name)
    return Filled(
        all_bytes=(_settled() - before) / count,
        text_bytes=text_bytes / count,
        read_bytes=read_bytes / count,
        peak_bytes=(peak - before) / count,
        build_s=build_s,
        add_us=_added(table, prompts),
    )


def _entries(texts: Sequence[str], first: int) -> Iterator[Entry]:
    for number, text in enumerate(texts, first):
        key = blake2b(number.to_bytes(8), digest_size=16).digest()
        yield Entry(
            key=EntryKey(key),
            partition=HOME,
            category="default",
            prompt=text,
            signature=signature(text),
            created_s=1.7e9 + number,
            expires_s=1.7e9 + 3600 + number,
            size_bytes=len(text) + 500,
        )


def _built(table: Table, name: str) -> tuple[float, int]:
    """Run the builds that are due; return the seconds and the most bytes that were resident."""
    start, told, peak = time.perf_counter(), time.perf_counter(), _resident()
    for index in table.indexes():
        while (build := index.next_build()) is not None:
            worker = Thread(target=build.run)
            worker.start()
            while worker.is_alive():
                worker.join(0.2)
                peak = max(peak, _resident())
                if time.perf_counter() - told > TELL_S:
                    told = time.perf_counter()
                    print(f"{name}: {build.placed:,} in the graph", file=sys.stderr)
            index.finish_build(build)
    return time.perf_counter() - start, peak


def _added(table: Table, prompts: Prompts) -> float:
    """Return the median microseconds of one more entry."""
    texts = [f"{text} once more" for text in prompts.texts[:ADDED]]
    taken = []
    for entry, row in zip(_entries(texts, len(table)), prompts.queries[-ADDED:], strict=True):
        start = time.perf_counter()
        table.admit(entry, row)
        taken.append(time.perf_counter() - start)
        table.remove(entry.key)
    return median(taken) * 1e6


def _search(table: Table, queries: Matrix) -> Searched:
    (index,) = table.indexes()
    taken, near = [], []
    for query in queries:
        start = time.perf_counter()
        found = index.search(HOME, query, K)
        taken.append(time.perf_counter() - start)
        near.append(found)
    p50, p99 = np.percentile(taken, (50, 99)) * 1e6
    rows = np.array([[row for row, _ in found] for found in near])
    stated = np.array([found[0][1] for found in near], dtype=np.float32)
    return Searched(float(p50), float(p99), rows, stated)


def _settled() -> int:
    """Count the bytes that are resident once what was freed is given back, as after a load."""
    gc.collect()
    give_back()
    return _resident()


def _resident() -> int:
    """Count the bytes this process holds in memory, mapped files apart."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this kernel does not tell what is resident")
