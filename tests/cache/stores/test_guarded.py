from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

import pytest

from kindcache.cache.errors import StoreError
from kindcache.cache.ports import EntryKey
from kindcache.cache.stores.guarded import GuardedStore
from kindcache.cache.stores.memory import MemoryStore
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

A = EntryKey(b"A" * 16)


class Moody(MemoryStore):
    """A store that fails or hangs when told."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.mood = "well"
        self.asked = 0

    async def _feel(self) -> None:
        self.asked += 1
        if self.mood == "hangs":
            await asyncio.Event().wait()
        if self.mood == "fails":
            raise StoreError("out of order")

    async def get(self, key: EntryKey) -> bytes | None:
        await self._feel()
        return await super().get(key)

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        await self._feel()
        await super().put(key, payload, record, retention_s)

    async def delete(self, keys: Collection[EntryKey]) -> None:
        await self._feel()
        await super().delete(keys)

    async def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        async for item in super().records():
            await self._feel()
            yield item

    async def claim(self, name: str, value: bytes) -> bytes:
        await self._feel()
        return await super().claim(name, value)


@pytest.fixture
def inner(clock: FakeClock) -> Moody:
    return Moody(clock)


@pytest.fixture
def store(inner: Moody, clock: FakeClock) -> GuardedStore:
    return GuardedStore(inner, read_deadline_s=0.05, write_deadline_s=0.05, clock=clock)


async def first_record(store: GuardedStore) -> None:
    async for _ in store.records():
        return


@pytest.mark.parametrize("mood", ["hangs", "fails"])
@pytest.mark.parametrize("call", ["get", "put", "delete", "records", "claim"])
async def test_every_call_ends_within_its_deadline(
    store: GuardedStore, inner: Moody, mood: str, call: str
) -> None:
    await store.put(A, b"p", b"r", 60.0)
    inner.mood = mood
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "get": lambda: store.get(A),
        "put": lambda: store.put(A, b"p", b"r", 60.0),
        "delete": lambda: store.delete([A]),
        "records": lambda: first_record(store),
        "claim": lambda: store.claim("name", b"value"),
    }
    async with asyncio.timeout(5.0):
        with pytest.raises(StoreError):
            await calls[call]()


async def test_a_store_that_is_down_is_left_alone(
    store: GuardedStore, inner: Moody, clock: FakeClock
) -> None:
    await store.put(A, b"p", b"r", 60.0)
    inner.mood = "fails"
    for _ in range(100):
        with pytest.raises(StoreError):
            await store.get(A)
    asked = inner.asked
    assert asked < 10
    assert store.degraded
    inner.mood = "well"
    with pytest.raises(StoreError):
        await store.get(A)
    clock.advance(0.3)
    assert await store.get(A) == b"p"
    assert not store.degraded


async def test_failing_writes_do_not_stop_reads(store: GuardedStore, inner: Moody) -> None:
    await store.put(A, b"p", b"r", 60.0)
    inner.mood = "fails"
    for _ in range(20):
        with pytest.raises(StoreError):
            await store.put(A, b"new", b"new", 60.0)
    inner.mood = "well"
    assert await store.get(A) == b"p"
    assert store.degraded


async def test_cancelled_callers_do_not_count_as_failures(
    store: GuardedStore, inner: Moody
) -> None:
    inner.mood = "hangs"
    for _ in range(20):
        task = asyncio.create_task(store.get(A))
        while not inner.asked:
            await asyncio.sleep(0)
        inner.asked = 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not store.degraded


@pytest.mark.parametrize("call", ["put", "delete", "records", "claim", "count", "counts"])
async def test_writes_wait_while_a_file_is_written_anew_and_reads_do_not(
    store: GuardedStore, inner: Moody, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "put": lambda: store.put(A, b"new", b"r", 60.0),
        "delete": lambda: store.delete([A]),
        "records": lambda: first_record(store),
        "claim": lambda: store.claim("name", b"value"),
        "count": lambda: store.count("ledger", {"name": 1}),
        "counts": lambda: store.counts("ledger"),
    }
    await store.put(A, b"p", b"r", 60.0)
    begun, gate = asyncio.Event(), asyncio.Event()

    async def scrub() -> None:
        begun.set()
        await gate.wait()

    monkeypatch.setattr(inner, "scrub", scrub)
    scrubbing = asyncio.create_task(store.scrub())
    await begun.wait()
    waiting: asyncio.Future[object] = asyncio.ensure_future(calls[call]())
    done, _ = await asyncio.wait({waiting}, timeout=0.2)  # four times its deadline
    assert not done
    assert await store.get(A) == b"p"
    gate.set()
    await scrubbing
    await waiting
    assert not store.degraded


async def test_a_scrub_that_fails_lets_writes_go_on(
    store: GuardedStore, inner: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scrub() -> None:
        raise StoreError("in use")

    monkeypatch.setattr(inner, "scrub", scrub)
    with pytest.raises(StoreError):
        await store.scrub()
    await store.put(A, b"p", b"r", 60.0)
