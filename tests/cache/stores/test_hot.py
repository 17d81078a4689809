from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from kindcache.cache.errors import StoreError
from kindcache.cache.ports import EntryKey
from kindcache.cache.stores.dated import Dated
from kindcache.cache.stores.hot import ROW_BYTES, HotStore
from kindcache.cache.stores.memory import MemoryStore
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

A = EntryKey(b"A" * 16)
HOUR_S = 3600.0
LIMIT_BYTES = 10 * (1000 + ROW_BYTES)


class Slow(MemoryStore):
    """Counts reads; waits for gates before or after the deed, and fails puts, when told."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.reads = 0
        self.read_gate: asyncio.Event | None = None
        self.write_gate: asyncio.Event | None = None
        self.fails = False

    async def get_dated(self, key: EntryKey) -> Dated | None:
        self.reads += 1
        found = await super().get_dated(key)
        if self.read_gate is not None:
            await self.read_gate.wait()
        return found

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        if self.write_gate is not None:
            await self.write_gate.wait()
        await super().put(key, payload, record, retention_s)
        if self.fails:
            raise StoreError("it may have been written")

    async def delete(self, keys: Collection[EntryKey]) -> None:
        if self.write_gate is not None:
            await self.write_gate.wait()
        await super().delete(keys)


@pytest.fixture
def inner(clock: FakeClock) -> Slow:
    return Slow(clock)


@pytest.fixture
def store(inner: Slow, clock: FakeClock) -> HotStore:
    return HotStore(inner, clock, limit_bytes=LIMIT_BYTES, hold_s=60.0)


async def settled() -> None:
    """Let started tasks run until they wait for a gate."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_was_put_needs_no_read(store: HotStore, inner: Slow) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    assert await store.get(A) == b"payload"
    assert inner.reads == 0


async def test_what_was_read_needs_no_second_read(store: HotStore, inner: Slow) -> None:
    await inner.put(A, b"payload", b"record", HOUR_S)
    assert [await store.get(A) for _ in range(3)] == [b"payload"] * 3
    assert inner.reads == 1


async def test_memory_is_bounded_and_keeps_what_is_used(store: HotStore, inner: Slow) -> None:
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(50)]
    for key in keys:
        await store.put(key, bytes(1000), b"", HOUR_S)
        assert await store.get(keys[0]) is not None
    assert store.used_bytes <= LIMIT_BYTES
    assert inner.reads == 0  # the one in use stayed
    for key in keys[-9:]:
        await store.get(key)
    assert inner.reads == 0
    assert await store.get(keys[1]) == bytes(1000)
    assert inner.reads == 1


async def test_a_payload_larger_than_the_limit_is_not_kept(store: HotStore, inner: Slow) -> None:
    await store.put(A, bytes(LIMIT_BYTES), b"", HOUR_S)
    assert await store.get(A) == bytes(LIMIT_BYTES)
    assert inner.reads == 1
    assert store.used_bytes == 0


async def test_what_was_read_expires_when_the_store_says(
    store: HotStore, inner: Slow, clock: FakeClock
) -> None:
    await inner.put(A, b"payload", b"record", 30.0)
    clock.advance(20.0)
    assert await store.get(A) == b"payload"
    clock.advance(10.0)
    assert await store.get(A) is None


async def test_changes_by_others_are_seen_after_the_hold(
    store: HotStore, inner: Slow, clock: FakeClock
) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    await inner.delete([A])
    clock.advance(59.0)
    assert await store.get(A) == b"payload"
    clock.advance(1.0)
    assert await store.get(A) is None
    assert store.used_bytes == 0


async def test_memory_answers_while_the_store_is_down(store: HotStore, inner: Slow) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    await inner.aclose()
    assert await store.get(A) == b"payload"


async def test_a_failed_put_is_not_remembered(store: HotStore, inner: Slow) -> None:
    await store.put(A, b"old", b"old", HOUR_S)
    inner.fails = True
    with pytest.raises(StoreError):
        await store.put(A, b"new", b"new", HOUR_S)
    assert await store.get(A) == b"new"  # as the store has it


@pytest.mark.parametrize("change", ["put", "delete"])
async def test_a_read_under_way_does_not_bring_back_what_was_changed(
    store: HotStore, inner: Slow, change: str
) -> None:
    await inner.put(A, b"old", b"old", HOUR_S)
    inner.read_gate = asyncio.Event()
    reading = asyncio.create_task(store.get(A))
    await settled()
    if change == "put":
        await store.put(A, b"new", b"new", HOUR_S)
    else:
        await store.delete([A])
    inner.read_gate.set()
    assert await reading == b"old"
    assert await store.get(A) == (b"new" if change == "put" else None)


@pytest.mark.parametrize("change", ["put", "delete"])
async def test_a_read_during_a_change_is_not_remembered(
    store: HotStore, inner: Slow, change: str
) -> None:
    await inner.put(A, b"old", b"old", HOUR_S)
    inner.write_gate = asyncio.Event()
    changing = asyncio.create_task(
        store.put(A, b"new", b"new", HOUR_S) if change == "put" else store.delete([A])
    )
    await settled()
    assert await store.get(A) == b"old"
    inner.write_gate.set()
    await changing
    assert await store.get(A) == (b"new" if change == "put" else None)


async def test_crossing_puts_leave_what_the_store_has(store: HotStore, inner: Slow) -> None:
    inner.write_gate = asyncio.Event()
    first = asyncio.create_task(store.put(A, b"first", b"", HOUR_S))
    await settled()
    gate, inner.write_gate = inner.write_gate, None
    await store.put(A, b"second", b"", HOUR_S)
    gate.set()
    await first
    assert await store.get(A) == await inner.get(A) == b"first"


async def test_a_put_crossed_by_a_delete_leaves_what_the_store_has(
    store: HotStore, inner: Slow
) -> None:
    inner.write_gate = asyncio.Event()
    putting = asyncio.create_task(store.put(A, b"payload", b"", HOUR_S))
    await settled()
    gate, inner.write_gate = inner.write_gate, None
    await store.delete([A])
    gate.set()
    await putting
    assert await store.get(A) == await inner.get(A)
    assert inner.reads >= 1


async def test_reads_side_by_side_are_remembered_once(store: HotStore, inner: Slow) -> None:
    await inner.put(A, b"payload", b"", HOUR_S)
    inner.read_gate = asyncio.Event()
    reading = [asyncio.create_task(store.get(A)) for _ in range(5)]
    await settled()
    inner.read_gate.set()
    assert await asyncio.gather(*reading) == [b"payload"] * 5
    assert store.used_bytes == len(b"payload") + ROW_BYTES
    reads = inner.reads
    assert await store.get(A) == b"payload"
    assert inner.reads == reads
