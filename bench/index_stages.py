"""Measure the stages of a float32 index: latency of searches and changes, recall, memory, by size.

    python bench/index_stages.py                    # sizes up to 10,000, under a minute
    python bench/index_stages.py 2000 10000 100000  # sizes of your own
    python bench/index_stages.py --dim 768 --tight 16 512

Vectors are drawn around topics as embedded prompts lie; queries have a stored neighbour at cosine
0.9. ``--tight`` makes topics of a thousand near-duplicates, as templated prompts are. recall@1:
share of queries whose first neighbour is as near as the exact one. Seeded.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterable

import numpy as np
import psutil

from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.index.flat import FlatIndex
from kindcache.cache.index.hnsw import HnswIndex
from kindcache.cache.index.slab import MOST
from kindcache.cache.ports import Index, Matrix, PartitionKey, Vector

SIZES = (1, 16, 64, 128, 512, 2000, 5000, 10_000)
QUERIES = 400
K = 8
SINGLES = 100_000
GRAPH_SIZE_LEAST = 64


class InSlab:
    """One partition of a category, always in the slab. Implements ``Index``."""

    def __init__(self, dim: int) -> None:
        self._index = CategoryIndex(dim)
        self._key = PartitionKey(bytes(16))

    def __len__(self) -> int:
        return len(self._index)

    def add(self, label: int, vector: Vector) -> None:
        """Add to the partition."""
        self._index.add(self._key, label, vector)

    def remove(self, label: int) -> None:
        """Remove from the partition."""
        self._index.remove(self._key, label)

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Search the partition."""
        return self._index.search(self._key, vector, k)


def normalised(rows: Matrix) -> Matrix:
    unit: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def draw(count: int, dim: int, *, tight: bool) -> tuple[Matrix, Matrix]:
    """Return stored vectors (count, dim) and queries near some of them."""
    rng = np.random.default_rng(0)
    noise = 0.1 if tight else 1.0
    topics = rng.standard_normal((max(2, count // (1000 if tight else 50)), dim), dtype=np.float32)
    rows = 0.9 * topics[rng.integers(0, len(topics), count)]
    rows = normalised(rows + noise * rng.standard_normal((count, dim), dtype=np.float32))
    chosen = rows[rng.integers(0, count, QUERIES)]
    moved = rng.standard_normal(chosen.shape, dtype=np.float32) * (0.5 * noise / dim**0.5)
    return rows, normalised(chosen + moved)


def timed(action: Callable[[int], object], arguments: Iterable[int]) -> tuple[float, float]:
    """Return p50 and p99 of one call, in microseconds."""
    taken = []
    for argument in arguments:
        start = time.perf_counter()
        action(argument)
        taken.append(time.perf_counter() - start)
    return float(np.percentile(taken, 50)) * 1e6, float(np.percentile(taken, 99)) * 1e6


def measure(name: str, index: Index, rows: Matrix, queries: Matrix, truth: Vector) -> None:
    """Fill ``index`` one by one, search it, change it, and print a line."""
    count = len(rows)
    last = range(max(0, count - 500), count)
    if isinstance(index, FlatIndex | HnswIndex):
        index.add_many(range(last.start), rows[: last.start])
    add_p50, add_p99 = timed(lambda at: index.add(at, rows[at]), last)
    for query in queries[:50]:
        index.search(query, K)
    search_p50, search_p99 = timed(lambda at: index.search(queries[at], K), range(QUERIES))
    best = np.array([index.search(query, K)[0][1] for query in queries])
    recall = float((best >= truth - 1e-5).mean())
    remove_p50, _ = timed(index.remove, last)
    print(
        f"{count:>8} {name:<5} {search_p50:>9.1f} {search_p99:>9.1f} {recall:>8.3f}"
        f" {add_p50:>9.1f} {add_p99:>9.1f} {remove_p50:>9.1f}"
    )


def measure_sizes(sizes: Iterable[int], dim: int, *, tight: bool) -> None:
    """Print the table of sizes."""
    print(f"{dim} dimensions, k = {K}; microseconds a call")
    print(
        f"{'rows':>8} {'index':<5} {'search':>9} {'p99':>9} {'recall@1':>8}"
        f" {'add':>9} {'p99':>9} {'remove':>9}"
    )
    for count in sizes:
        rows, queries = draw(count, dim, tight=tight)
        truth = (queries @ rows.T).max(axis=1)
        if count <= MOST:
            measure("slab", InSlab(dim), rows, queries, truth)
        measure("flat", FlatIndex(dim), rows, queries, truth)
        if count >= GRAPH_SIZE_LEAST:
            measure("hnsw", HnswIndex(dim), rows, queries, truth)


def measure_memory(dim: int) -> None:
    """Print what an entry costs when every partition holds one."""
    rng = np.random.default_rng(1)
    keys = [PartitionKey(rng.bytes(16)) for _ in range(SINGLES)]
    rows = normalised(rng.standard_normal((1000, dim), dtype=np.float32))
    index = CategoryIndex(dim)
    gc.collect()
    before = psutil.Process().memory_info().rss
    start = time.perf_counter()
    for label, key in enumerate(keys):
        index.add(key, label, rows[label % 1000])
    taken = time.perf_counter() - start
    used = (psutil.Process().memory_info().rss - before) / SINGLES
    found_p50, _ = timed(lambda at: index.search(keys[at], rows[0], K), range(0, SINGLES, 50))
    print(
        f"{SINGLES} partitions of one entry: {used:.0f} bytes an entry, {dim * 4} of them the"
        f" vector; add {taken / SINGLES * 1e6:.1f} us, search {found_p50:.1f} us\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the vector indexes.")
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="rows")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--tight", action="store_true", help="near-duplicates within topics")
    options = parser.parse_args()
    measure_memory(options.dim)  # first, while the process is small
    measure_sizes(options.sizes, options.dim, tight=options.tight)


if __name__ == "__main__":
    main()
