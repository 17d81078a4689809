"""What every store's log of changes promises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kindcache.cache.errors import StoreError
from kindcache.cache.ports import Change, EntryKey, Gap, News, Position, Store
from tests.conftest import FakeClock
from tests.contract.store_backends import Backend, WithFakeClock, WithRedis
from tests.drivers.redis_forms import RedisCluster

pytestmark = pytest.mark.anyio

HOUR_S = 3600.0
A = EntryKey(b"A" * 16)
B = EntryKey(b"B" * 16)
KEPT = 100  # changes, where a test fills the log
KINDS = [
    "memory",
    "sqlite",
    "redis",
    "cluster",
    "guarded",
    "sealed",
    "sealed sqlite",
    "sealed redis",
]
SHARED = ["sqlite", "redis", "cluster", "sealed sqlite", "sealed redis"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def backend(
    kind: str, tmp_path: Path, clock: FakeClock, request: pytest.FixtureRequest
) -> AsyncIterator[Backend]:
    made: WithFakeClock | WithRedis
    if kind == "cluster":
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        nodes = [node.url for node in cluster.nodes]
        made = WithRedis(cluster.url, nodes=nodes, changes_kept=KEPT)
    elif kind.endswith("redis"):
        url = request.getfixturevalue("redis_url")
        made = WithRedis(url, sealed=kind != "redis", changes_kept=KEPT)
    else:
        made = WithFakeClock(kind, tmp_path, clock, changes_kept=KEPT)
    yield made
    await made.aclose()


@pytest.fixture
async def store(backend: Backend) -> Store:
    return await backend.store()


async def told(store: Store, after: Position = 0, limit: int = 1000) -> list[Change]:
    found = await store.changes.since(after, limit, 0.0)
    assert not isinstance(found, Gap), found
    return list(found)


def said(changes: list[Change]) -> list[tuple[str, bytes]]:
    return [(change.kind, change.body) for change in changes]


async def fill(store: Store, changes: int) -> Position:
    position = 0
    for _ in range(changes // 50):
        position = await store.changes.tell([News("notice", b"x")] * 50)
    return position


async def test_an_empty_log(store: Store) -> None:
    assert await store.changes.latest() == 0
    assert await told(store) == []
    assert await store.changes.admitted(10) == []


async def test_what_is_done_is_told_in_order(store: Store) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    await store.put(B, b"payload", b"record", HOUR_S)
    await store.delete([A, B])
    await store.changes.tell([News("notice", b"erased"), News("notice", b"epoch")])
    changes = await told(store)
    assert said(changes) == [
        ("admit", A),
        ("admit", B),
        ("delete", A + B),
        ("notice", b"erased"),
        ("notice", b"epoch"),
    ]
    assert changes[2].keys == [A, B]
    positions = [change.position for change in changes]
    assert positions == sorted(set(positions))
    assert positions[0] > 0
    assert await store.changes.latest() == positions[-1]


async def test_reading_does_not_take_anything_away(store: Store) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    await store.delete([])  # nothing is told of nothing
    assert await told(store) == await told(store)
    first = (await told(store))[0].position
    assert await told(store, first) == []
    assert await store.changes.tell([]) == first


async def test_what_follows_a_position_comes_in_parts(store: Store) -> None:
    for number in range(30):
        await store.put(EntryKey(number.to_bytes(16, "big")), b"p", b"r", HOUR_S)
    everything = await told(store)
    parts: list[Change] = []
    while part := await told(store, parts[-1].position if parts else 0, limit=7):
        assert len(part) <= 7
        parts += part
    assert parts == everything
    assert len(parts) == 30
    assert [change.keys[0] for change in parts] == [
        EntryKey(number.to_bytes(16, "big")) for number in range(30)
    ]


async def test_no_text_of_an_entry_is_told(store: Store) -> None:
    await store.put(A, b"an answer", b"a prompt", HOUR_S)
    assert [change.body for change in await told(store)] == [A]


async def test_many_keys_are_deleted_at_once(store: Store) -> None:
    keys = [EntryKey(number.to_bytes(16, "big")) for number in range(600)]
    await store.delete(keys)
    assert [key for change in await told(store) for key in change.keys] == keys


async def test_who_waits_is_woken(store: Store) -> None:
    waiting = asyncio.create_task(store.changes.since(0, 10, 30.0))
    await asyncio.sleep(0)
    await store.put(A, b"payload", b"record", HOUR_S)
    async with asyncio.timeout(5):
        found = await waiting
    assert not isinstance(found, Gap)
    assert said(list(found)) == [("admit", A)]


async def test_who_waits_in_vain_gets_nothing(store: Store) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    last = await store.changes.latest()
    began = time.monotonic()
    assert await store.changes.since(last, 10, 0.05) == []
    assert 0.04 <= time.monotonic() - began < 3.0


async def test_who_waits_may_leave(store: Store) -> None:
    for turns in range(12):
        waiting = asyncio.create_task(store.changes.since(0, 10, 30.0))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
    await store.put(A, b"payload", b"record", HOUR_S)
    assert said(await told(store)) == [("admit", A)]


async def test_what_was_forgotten_is_a_gap(store: Store) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    first = await store.changes.latest()
    last = await fill(store, 6 * KEPT)
    assert await store.changes.since(first, 10, 0.0) == Gap("trimmed")
    assert await store.changes.since(0, 10, 0.0) == Gap("trimmed")
    assert await store.changes.since(first, 10, 30.0) == Gap("trimmed")  # without waiting
    assert await told(store, last) == []
    await store.put(B, b"payload", b"record", HOUR_S)
    assert said(await told(store, last)) == [("admit", B)]


async def test_what_is_kept_is_not_a_gap(store: Store) -> None:
    first = await store.changes.tell([News("notice", b"first")])
    await fill(store, KEPT - 50)
    assert len(await told(store, first)) == KEPT - 50


async def test_a_log_that_ends_before_the_position_is_a_gap(store: Store) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    last = await store.changes.latest()
    assert await store.changes.since(last + 1, 10, 0.0) == Gap("behind")
    assert await store.changes.since(last + 1, 10, 30.0) == Gap("behind")


async def test_the_newest_admissions_come_first(store: Store) -> None:
    keys = [EntryKey(number.to_bytes(16, "big")) for number in range(20)]
    for key in [*keys, keys[0]]:
        await store.put(key, b"p", b"r", HOUR_S)
    await store.delete([keys[3]])
    newest = [keys[0], *reversed(keys[1:])]
    assert list(await store.changes.admitted(1000)) == newest
    assert list(await store.changes.admitted(5)) == newest[: len(await store.changes.admitted(5))]
    assert 1 <= len(await store.changes.admitted(5)) <= 5


async def test_records_of_some(backend: Backend, store: Store) -> None:
    assert await store.records_of([]) == {}
    keys = [EntryKey(number.to_bytes(16, "big")) for number in range(300)]
    for key in keys[:290]:
        await store.put(key, b"p", b"record of " + key, HOUR_S)
    await store.put(B, b"p", b"short", 0.1)

    async def gone() -> bool:
        return await store.get(B) is None

    await backend.pass_time(0.11, until=gone)
    await store.delete([keys[0]])
    found = await store.records_of([*keys, A, B])
    assert found == {key: b"record of " + key for key in keys[1:290]}


async def test_a_closed_log_raises(store: Store) -> None:
    waiting = asyncio.create_task(store.changes.since(0, 10, 30.0))
    for _ in range(20):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await store.aclose()
        with pytest.raises(StoreError):
            await waiting
    with pytest.raises(StoreError):
        await store.changes.since(0, 10, 0.0)
    with pytest.raises(StoreError):
        await store.changes.tell([News("notice", b"x")])
    with pytest.raises(StoreError):
        await store.changes.latest()
    with pytest.raises(StoreError):
        await store.changes.admitted(1)
    with pytest.raises(StoreError):
        await store.records_of([A])


async def test_only_ones_own_changes_bear_ones_mark(backend: Backend, kind: str) -> None:
    one, other = await backend.store(), await backend.store()
    await one.put(A, b"payload", b"record", HOUR_S)
    await other.put(B, b"payload", b"record", HOUR_S)
    assert len(one.changes.origin) == len(other.changes.origin) == 8
    assert one.changes.origin != other.changes.origin
    if kind in SHARED:
        marks = [change.origin for change in await told(one)]
        assert marks == [one.changes.origin, other.changes.origin]
    else:  # several engines may share the one object, and none may take another's for its own
        assert one.changes.origin not in {change.origin for change in await told(one)}


@pytest.mark.parametrize("kind", SHARED)
async def test_all_read_the_same(backend: Backend) -> None:
    stores = [await backend.store() for _ in range(3)]
    keys = [EntryKey(number.to_bytes(16, "big")) for number in range(60)]
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number, key in enumerate(keys):
            group.create_task(stores[number % 3].put(key, b"p", b"r", HOUR_S))
    logs = [await told(store) for store in stores]
    assert logs[0] == logs[1] == logs[2]
    assert sorted(key for change in logs[0] for key in change.keys) == keys


@pytest.mark.parametrize("kind", SHARED)
async def test_another_process_wakes_who_waits(backend: Backend) -> None:
    one, other = await backend.store(), await backend.store()
    waiting = asyncio.create_task(one.changes.since(0, 10, 30.0))
    await asyncio.sleep(0)
    await other.put(A, b"payload", b"record", HOUR_S)
    async with asyncio.timeout(5):
        found = await waiting
    assert not isinstance(found, Gap)
    assert said(list(found)) == [("admit", A)]


@pytest.mark.parametrize("kind", SHARED)
async def test_positions_go_on_after_a_restart(backend: Backend) -> None:
    first = await backend.store()
    await first.put(A, b"payload", b"record", HOUR_S)
    last = await first.changes.latest()
    await first.aclose()
    second = await backend.store()
    assert await second.changes.latest() == last
    await second.put(B, b"payload", b"record", HOUR_S)
    assert said(await told(second, last)) == [("admit", B)]
