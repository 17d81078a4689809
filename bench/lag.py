"""How long after its write an entry is known to another process: 500 admissions a second.

Two processes on one store: this one stores, a child follows, as in service, with real records of
384 dimensions. The clock of the machine is read in both: when a write was handed to the store,
and when the follower had taken it in.

    python bench/lag.py redis://127.0.0.1:6379/0
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Collection

import numpy as np

from kindcache.adapters.build import Service, build
from kindcache.adapters.registry import make_store
from kindcache.cache.entries.entry import IndexRecord, encode, pack_vector
from kindcache.cache.ports import EntryKey, Position, Store
from kindcache.config.load import loads
from kindcache.config.settings import Settings

RATE_PER_S = 500
SECONDS = 10
DIM = 384
PAYLOAD_BYTES = 2_000
SECRET = {"KINDCACHE_SECRET": "a secret of the benchmark"}


def settings(url: str, namespace: str) -> Settings:
    """Return what both sides run on."""
    text = (
        f"store: {{url: '{url}', namespace: {namespace}}}\n"
        f"embedder: {{runtime: hashing, dimensions: {DIM}}}\n"
        "judge: {scorer: none}\n"
    )
    return loads(text, "lag.yaml")


async def follow(url: str, namespace: str, count: int) -> None:
    """Follow until ``count`` entries are known; print when each was, in order of the log."""
    service = build(settings(url, namespace), _no_app, upstream="none", environ=SECRET)
    await service.lifecycle.open()
    await service.lifecycle.load()
    known = await _arrivals(service, count)
    await service.lifecycle.aclose()
    print(json.dumps(known), flush=True)


async def _arrivals(service: Service, count: int) -> dict[str, float]:
    follower, done = service.lifecycle.follower, asyncio.Event()
    store, known = service.engine.store, dict[str, float]()
    looked_at: list[EntryKey] = []
    records_of = store.records_of

    async def noting(keys: Collection[EntryKey]) -> dict[EntryKey, bytes]:
        looked_at.extend(keys)
        return await records_of(keys)

    def moved(_position: Position | None) -> None:
        now_s = time.time()
        for key in looked_at:
            assert key in service.engine.memory.table
            known.setdefault(key.hex(), now_s)
        looked_at.clear()
        if len(known) >= count:
            done.set()

    setattr(store, "records_of", noting)  # noqa: B010 - to see what is taken in when
    follower.moved = moved
    print("ready", flush=True)
    async with asyncio.timeout(SECONDS + 30):
        await done.wait()
    return known


async def _no_app(_scope: object, _receive: object, _send: object) -> None:
    raise NotImplementedError


async def fill(store: Store, count: int, rate_per_s: float) -> dict[str, float]:
    """Store ``count`` entries at an even rate; return when each was handed to the store."""
    rng = np.random.default_rng(0)
    handed: dict[str, float] = {}
    payload = secrets.token_bytes(PAYLOAD_BYTES)

    async def put(key: EntryKey, record: bytes) -> None:
        handed[key.hex()] = time.time()
        await store.put(key, payload, record, 3600.0)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            vector = rng.standard_normal(DIM).astype(np.float32)
            record = _record(number, vector / np.linalg.norm(vector))
            wait_s = began + number / rate_per_s - time.perf_counter()
            await asyncio.sleep(max(0.0, wait_s))
            tasks.create_task(put(EntryKey(secrets.token_bytes(16)), record))
    return handed


def _record(number: int, vector: np.ndarray[tuple[int], np.dtype[np.float32]]) -> bytes:
    now_s = time.time()
    return encode(
        IndexRecord(
            partition=bytes(16),
            category="default",
            prompt=f"question number {number} of those that the benchmark asks",
            created_s=now_s,
            expires_s=now_s + 3600.0,
            size_bytes=PAYLOAD_BYTES,
            embedder="none",
            vector=pack_vector(vector),
        )
    )


async def measure(url: str, rate_per_s: float, seconds: float) -> None:
    """Run both sides and print the percentiles."""
    namespace = f"lag{secrets.token_hex(4)}"
    count = int(rate_per_s * seconds)
    command = [sys.executable, __file__, url, "--follow", namespace, "--count", str(count)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - once
    assert child.stdout is not None
    await asyncio.to_thread(child.stdout.readline)
    store = make_store(settings(url, namespace).store, time.time, SECRET)
    await store.open()
    handed = await fill(store, count, rate_per_s)
    known: dict[str, float] = json.loads(await asyncio.to_thread(child.stdout.readline))
    child.wait()
    await store.delete([EntryKey(bytes.fromhex(key)) for key in handed])
    await store.aclose()
    lags_ms = np.array([1000 * (known[key] - began_s) for key, began_s in handed.items()])
    p50, p99, most = np.percentile(lags_ms, [50, 99, 100])
    print(
        f"{count} entries at {rate_per_s:g}/s over {url.partition(':')[0]}: lag p50 {p50:.1f} ms,"
        f" p99 {p99:.1f} ms, most {most:.1f} ms"
    )


def main() -> None:
    """Measure, or be the side that follows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the store's address, as in store.url")
    parser.add_argument("--rate", type=float, default=RATE_PER_S, help="admissions a second")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--follow", metavar="NAMESPACE", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.follow:
        asyncio.run(follow(asked.url, asked.follow, asked.count))
    else:
        asyncio.run(measure(asked.url, asked.rate, asked.seconds))


if __name__ == "__main__":
    main()
