"""What encryption at rest costs a read and a write.

Plain and encrypted stores take turns, and the least of the rounds counts. --write puts the table
into docs/policies.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from marked import replace

from kindcache.cache.ports import EntryKey, Store
from kindcache.cache.stores.memory import MemoryStore
from kindcache.cache.stores.sealed import SealedStore
from kindcache.cache.stores.sealing import parse_keys
from kindcache.cache.stores.sqlite import SqliteStore

PAGE = Path("docs/policies.md")
MARKS = ("<!-- encryption: begin -->", "<!-- encryption: end -->")
HEADS = ("store", "what", "plain us", "encrypted us", "ratio")
ENTRIES, RECORD_BYTES, HOUR_S = 100, 1100, 3600.0


async def once(store: Store, keys: list[EntryKey], payload: bytes) -> tuple[float, float]:
    """Return microseconds for each write, many at once, and for each read, one by one."""
    record = os.urandom(RECORD_BYTES)
    started = time.perf_counter()
    await asyncio.gather(*(store.put(key, payload, record, HOUR_S) for key in keys))
    written = time.perf_counter()
    for key in keys:
        await store.get(key)
    read = time.perf_counter()
    return 1e6 * (written - started) / len(keys), 1e6 * (read - written) / len(keys)


async def rows(name: str, pair: tuple[Store, Store], size: int, rounds: int) -> list[list[str]]:
    stores = {"plain": pair[0], "sealed": SealedStore(pair[1], parse_keys("11" * 32, "KEYS"))}
    keys = [EntryKey(os.urandom(16)) for _ in range(ENTRIES)]
    took: dict[tuple[str, int], list[float]] = defaultdict(list)
    for store in stores.values():
        await store.open()
    for _ in range(rounds):
        for kind, store in stores.items():
            for operation, us in enumerate(await once(store, keys, os.urandom(size))):
                took[kind, operation].append(us)
    for store in stores.values():
        await store.aclose()
    found = []
    for operation, what in enumerate(("write", "read")):
        before, after = min(took["plain", operation]), min(took["sealed", operation])
        cells = (f"{before:.1f}", f"{after:.1f}", f"{after / before:.2f}")
        found.append([name, f"{what}, {size // 1024} KiB", *cells])
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for size in (2 << 10, 32 << 10):
            memory = MemoryStore(time.time), MemoryStore(time.time)
            found += await rows("memory", memory, size, options.rounds)
            one, two = (Path(folder) / f"{size}-{number}.db" for number in (1, 2))
            files = SqliteStore(one, time.time), SqliteStore(two, time.time)
            found += await rows("SQLite", files, size, options.rounds)
    lines = [f"| {' | '.join(cells)} |" for cells in (HEADS, ("---",) * len(HEADS), *found)]
    table = "\n".join(lines)
    print(table)
    if options.write:
        replace(PAGE, MARKS, table)


if __name__ == "__main__":
    asyncio.run(main())
