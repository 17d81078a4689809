"""The background writer: ordered per key, bounded, and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from kindcache.cache.errors import StoreError
from kindcache.cache.events import Failed
from kindcache.cache.ports import EntryKey
from kindcache.cache.writer import WORKERS, Delete, Put, Writer
from tests.cache.small_engine import Seen, TroubledStore, down
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio


def key(number: int, worker: int = 0) -> EntryKey:
    """Make keys that go through that worker."""
    return EntryKey(bytes([worker]) + number.to_bytes(15))


def put(one: EntryKey, payload: bytes = b"payload") -> Put:
    return Put(one, payload, b"record", 60.0)


def started(store: TroubledStore, limit: int = 1000) -> tuple[Writer, Seen]:
    seen = Seen()
    writer = Writer(store, limit, seen)
    writer.start()
    return writer, seen


async def test_what_is_put_is_in_the_store_once_drained(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    writer, seen = started(store)
    keys = [key(number, number % 7) for number in range(50)]
    assert all(writer.put(put(one)) for one in keys)
    assert writer.waiting == 50
    await writer.drain()
    assert writer.waiting == 0
    assert [await store.get(one) for one in keys] == [b"payload"] * 50
    writer.delete(keys[:20])
    await writer.drain()
    assert [await store.get(one) is None for one in keys] == [True] * 20 + [False] * 30
    assert {record async for _, record in store.records()} == {b"record"}
    await writer.aclose(5.0)
    assert seen.events == []


class Slow(TroubledStore):
    """Yields a different number of times for each call, and notes what became of each key."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.done: dict[EntryKey, list[bytes]] = defaultdict(list)
        self.running = self.most_running = 0

    async def _note(self, one: EntryKey, what: bytes) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        for _ in range(len(what) * 7 % 5):
            await asyncio.sleep(0)
        self.running -= 1
        self.done[one].append(what)

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        await self._note(key, payload)

    async def delete(self, keys: object) -> None:
        assert isinstance(keys, list)
        for one in keys:
            await self._note(one, b"")


async def test_jobs_of_one_key_keep_their_order_and_other_keys_do_not_wait(
    clock: FakeClock,
) -> None:
    store = Slow(clock)
    writer, _ = started(store)
    keys = [key(0, worker) for worker in range(6)]
    expected = []
    for number in range(40):
        job = b"" if number % 5 == 4 else b"x" * number
        expected.append(job)
        for one in keys:
            if job or number % 5 != 4:
                writer.put(put(one, job))
            else:
                writer.delete([one])
    await writer.drain()
    assert store.done == dict.fromkeys(keys, expected)
    assert store.most_running == WORKERS
    await writer.aclose(5.0)


async def test_a_write_that_hangs_holds_up_only_its_own_worker(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    gate = store.gates["put"] = asyncio.Event()
    writer, _ = started(store)
    writer.put(put(key(0, worker=0)))
    await store.called("put")
    del store.gates["put"]
    writer.put(put(key(1, worker=0)))
    writer.put(put(key(2, worker=1)))
    async with asyncio.timeout(10):
        while await store.get(key(2, worker=1)) is None:
            await asyncio.sleep(0)
    assert await store.get(key(1, worker=0)) is None
    gate.set()
    await writer.drain()
    assert await store.get(key(1, worker=0)) == b"payload"
    await writer.aclose(5.0)


async def test_past_the_bound_puts_are_refused_and_deletions_are_not(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    gate = store.gates["put"] = asyncio.Event()
    writer, seen = started(store, limit=3)
    assert [writer.put(put(key(number))) for number in range(5)] == [True] * 3 + [False] * 2
    writer.delete([key(0), key(9)])
    assert writer.waiting == 5
    assert not writer.put(put(key(5)))
    gate.set()
    await writer.drain()
    kept = [await store.get(key(number)) is not None for number in range(6)]
    assert kept == [False, True, True, False, False, False]
    assert writer.put(put(key(5)))
    await writer.aclose(5.0)
    assert seen.events == []


async def test_failures_are_counted_by_their_cause_and_the_rest_is_written(
    clock: FakeClock,
) -> None:
    store = TroubledStore(clock)
    writer, seen = started(store)
    store.troubles["put"] = down()
    store.troubles["delete"] = StoreError("no")
    store.troubles["delete"].__cause__ = ConnectionResetError()
    writer.put(put(key(0)))
    writer.delete([key(1)])
    await writer.drain()
    assert seen.events == [
        Failed("store.put", "StoreError"),
        Failed("store.delete", "ConnectionResetError"),
    ]
    store.troubles.clear()
    writer.put(put(key(0)))
    await writer.drain()
    assert await store.get(key(0)) == b"payload"
    await writer.aclose(5.0)


async def test_a_fault_that_no_store_should_have_does_not_end_the_worker(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    writer, seen = started(store)
    store.troubles["put"] = ZeroDivisionError()
    writer.put(put(key(0)))
    await asyncio.wait_for(writer.drain(), 10)
    assert seen.events == [Failed("writer", "ZeroDivisionError")]
    store.troubles.clear()
    writer.put(put(key(0)))
    await asyncio.wait_for(writer.drain(), 10)
    assert await store.get(key(0)) == b"payload"
    await writer.aclose(5.0)


async def test_closing_writes_what_waits(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    writer, _ = started(store)
    for number in range(20):
        writer.put(put(key(number, number)))
    await writer.aclose(10.0)
    assert len([one async for one in store.inner.records()]) == 20
    await writer.aclose(10.0)


async def test_closing_over_a_store_that_hangs_ends_in_time_and_leaves_no_task(
    clock: FakeClock,
) -> None:
    store = TroubledStore(clock)
    store.gates["put"] = asyncio.Event()
    before = asyncio.all_tasks()
    writer, seen = started(store)
    for number in range(20):
        writer.put(put(key(number, number)))
    await asyncio.wait_for(writer.aclose(0.01), 10)
    assert seen.events == [Failed("writer.close", "TimeoutError")]
    assert asyncio.all_tasks() == before


async def test_closing_before_the_start_is_nothing(clock: FakeClock) -> None:
    seen = Seen()
    await Writer(TroubledStore(clock), 1, seen).aclose(5.0)
    assert seen.events == []


def test_jobs_are_values() -> None:
    assert Delete(key(1)) == Delete(key(1))
    assert put(key(1)) == put(key(1)) != put(key(2))
