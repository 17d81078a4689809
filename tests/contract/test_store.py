"""What every store promises."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kindcache.cache.errors import StoreError
from kindcache.cache.ports import EntryKey, Store
from kindcache.cache.stores.memory import MemoryStore
from kindcache.cache.stores.redis import RedisStore
from kindcache.cache.stores.sqlite import SqliteStore
from tests.conftest import FakeClock
from tests.contract.store_backends import Backend, WithFakeClock, WithRedis
from tests.drivers.redis_forms import RedisCluster

pytestmark = pytest.mark.anyio

HOUR_S = 3600.0
A = EntryKey(b"A" * 16)
B = EntryKey(b"B" * 16)


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
PERSISTENT = ["sqlite", "redis", "cluster", "sealed sqlite", "sealed redis"]


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
        made = WithRedis(cluster.url, nodes=[node.url for node in cluster.nodes])
    elif kind.endswith("redis"):
        made = WithRedis(request.getfixturevalue("redis_url"), sealed=kind != "redis")
    else:
        made = WithFakeClock(kind, tmp_path, clock)
    yield made
    await made.aclose()


@pytest.fixture
async def store(backend: Backend) -> Store:
    return await backend.store()


async def put_all(store: Store, records: dict[EntryKey, bytes]) -> None:
    """Put entries, so many at a time that none comes near its deadline."""
    left = list(records.items())
    while left:
        now, left = left[:200], left[200:]
        await asyncio.gather(*(store.put(key, b"p", record, HOUR_S) for key, record in now))


async def listed(store: Store) -> dict[EntryKey, bytes]:
    """All records; fails if a key comes twice."""
    found: dict[EntryKey, bytes] = {}
    async for key, record in store.records():
        assert key not in found
        found[key] = record
    return found


async def test_missing(store: Store) -> None:
    assert await store.get(A) is None
    assert await listed(store) == {}


async def test_put_and_get(store: Store) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    assert await store.get(A) == b"payload"
    assert await store.get(B) is None
    assert await listed(store) == {A: b"record"}


async def test_expired_is_absent(backend: Backend, store: Store) -> None:
    await store.put(A, b"short", b"short", 0.3)
    await store.put(B, b"long", b"long", HOUR_S)

    async def gone() -> bool:
        return await store.get(A) is None

    assert not await gone()
    await backend.pass_time(0.31, until=gone)
    assert await listed(store) == {B: b"long"}
    assert await store.get(B) == b"long"


async def test_expired_can_be_put_again(backend: Backend, store: Store) -> None:
    await store.put(A, b"old", b"old", 0.05)

    async def gone() -> bool:
        return await store.get(A) is None

    await backend.pass_time(0.06, until=gone)
    await store.put(A, b"new", b"new", HOUR_S)
    assert await store.get(A) == b"new"
    assert await listed(store) == {A: b"new"}


@pytest.mark.parametrize("retention_s", [0.0, -1.0])
async def test_no_retention_keeps_nothing(store: Store, retention_s: float) -> None:
    await store.put(A, b"old", b"old", HOUR_S)
    await store.put(A, b"new", b"new", retention_s)
    assert await store.get(A) is None
    assert await listed(store) == {}


async def test_replace(backend: Backend, store: Store) -> None:
    await store.put(A, b"old", b"old record", 0.3)
    await store.put(A, b"new", b"new record", HOUR_S)
    await store.put(B, b"other", b"other record", 0.3)

    async def other_is_gone() -> bool:
        return await store.get(B) is None

    await backend.pass_time(0.31, until=other_is_gone)
    assert await store.get(A) == b"new"  # with the new expiry
    assert await listed(store) == {A: b"new record"}


async def test_delete(store: Store) -> None:
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(600)]
    await put_all(store, dict.fromkeys(keys, b"r"))
    await store.put(A, b"kept", b"kept", HOUR_S)
    await store.delete([*keys, B])
    assert await store.get(keys[0]) is None
    assert await store.get(keys[-1]) is None
    assert await listed(store) == {A: b"kept"}


async def test_delete_absent(store: Store) -> None:
    await store.delete([A, B])
    await store.delete([])
    await store.put(A, b"payload", b"record", HOUR_S)
    assert await store.get(A) == b"payload"


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x00\xff\r\n{}*?[\x00", os.urandom(1 << 22)],
    ids=["empty", "odd bytes", "4 MiB"],
)
async def test_values_are_kept_byte_for_byte(backend: Backend, payload: bytes) -> None:
    store = await backend.store()
    key = EntryKey(b"\x00\xff{}\r\n*?[]\\: \x80~}")
    await store.put(key, payload, payload[:1000], HOUR_S)
    assert await store.get(key) == payload
    assert await listed(store) == {key: payload[:1000]}


async def test_both_or_neither(store: Store) -> None:
    """A cancelled put leaves a whole entry or none."""
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(40)]
    payload = os.urandom(1 << 16)
    for turns, key in enumerate(keys):
        task = asyncio.create_task(store.put(key, payload, payload[:999], HOUR_S))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    await store.put(A, b"after", b"after", HOUR_S)
    records = await listed(store)
    assert records[A] == b"after"
    for key in keys:
        found = await store.get(key)
        assert (found, records.get(key)) in [(None, None), (payload, payload[:999])]


async def test_cancelled_reads_disturb_nobody(store: Store) -> None:
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(40)]
    for key in keys:
        await store.put(key, key * 100, key, HOUR_S)
    for turns, key in enumerate(keys):
        task = asyncio.create_task(store.get(key))
        for _ in range(turns % 12):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    assert [await store.get(key) for key in keys] == [key * 100 for key in keys]


async def test_claim_is_atomic(backend: Backend) -> None:
    store = await backend.store()
    values = [os.urandom(16) for _ in range(50)]
    kept = await asyncio.gather(*(store.claim("epoch", value) for value in values))
    assert len(set(kept)) == 1
    assert kept[0] in values
    assert await store.claim("epoch", b"later") == kept[0]
    assert await store.claim("another", b"its own") == b"its own"
    assert await listed(store) == {}


async def test_counters_add_up(store: Store) -> None:
    assert await store.counts("evidence") == {}
    await store.count("evidence", {})
    await store.count("evidence", {"right": 2, "wrong": 1})
    await store.count("evidence", {"right": 3})
    assert await store.counts("evidence") == {"right": 5, "wrong": 1}
    await store.count("evidence", {"wrong": -1})
    assert (await store.counts("evidence"))["wrong"] == 0
    assert await listed(store) == {}
    assert await store.get(A) is None


async def test_ledgers_are_apart(store: Store) -> None:
    await store.claim("one", b"a claimed name")
    await store.count("one", {"x": 1})
    await store.count("two", {"x": 2, "y": 3})
    await store.uncount("two", ["x"])
    assert await store.counts("one") == {"x": 1}
    assert await store.counts("two") == {"y": 3}
    assert await store.claim("one", b"another") == b"a claimed name"


async def test_counters_are_dropped(store: Store) -> None:
    await store.uncount("evidence", ["never there"])
    await store.count("evidence", {f"n{number}": 1 for number in range(600)} | {"kept": 7})
    await store.uncount("evidence", [])
    await store.uncount("evidence", [f"n{number}" for number in range(601)])
    assert await store.counts("evidence") == {"kept": 7}
    await store.count("evidence", {"n0": 1})  # begins at 0 again
    assert await store.counts("evidence") == {"kept": 7, "n0": 1}


async def test_counters_of_odd_names_and_large_amounts(store: Store) -> None:
    names = ["", " ", "a|b|c", "{x}*?[\\", "\r\n", "naïve 猫 \U0001f408", "\x00", "x" * 5000]
    amounts = {name: (1 << 53) + number for number, name in enumerate(names)}
    await store.count("an odd: ledger|{}", amounts)
    await store.count("an odd: ledger|{}", amounts)
    assert await store.counts("an odd: ledger|{}") == {n: 2 * a for n, a in amounts.items()}
    await store.uncount("an odd: ledger|{}", names[1:])
    assert await store.counts("an odd: ledger|{}") == {"": 2 << 53}


async def test_counting_at_once_loses_nothing(store: Store) -> None:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(store.count("evidence", {"all": 1, f"n{number % 7}": number}))
    found = await store.counts("evidence")
    assert found.pop("all") == 100
    assert sum(found.values()) == sum(range(100))


async def test_a_lease_has_one_holder(store: Store) -> None:
    taken = await asyncio.gather(*(store.lease("x", b"%d" % n, 60.0) for n in range(20)))
    assert sum(taken) == 1
    holder, other = b"%d" % taken.index(True), b"another"
    assert await store.lease("x", holder, 60.0)
    assert not await store.lease("x", other, 60.0)
    assert await store.lease("y", other, 60.0)
    await store.release("x", other)
    assert not await store.lease("x", other, 60.0)
    await store.release("x", holder)
    await store.release("x", holder)
    assert await store.lease("x", other, 60.0)
    assert await listed(store) == {}


async def test_a_lease_runs_out_unless_it_is_renewed(backend: Backend, store: Store) -> None:
    assert await store.lease("short", b"one", 0.3)
    assert await store.lease("renewed", b"one", 0.3)
    assert await store.lease("renewed", b"one", 60.0)

    async def free() -> bool:
        return await store.lease("short", b"two", 60.0)

    assert not await free()
    await backend.pass_time(0.31, until=free)
    assert not await store.lease("renewed", b"two", 60.0)


async def test_scrubbing_takes_nothing_that_lives(backend: Backend, store: Store) -> None:
    await store.scrub()
    await store.put(A, b"payload", b"record", HOUR_S)
    await store.put(B, b"short", b"short", 0.1)
    await store.count("ledger", {"x": 1})
    name = await store.claim("epoch", b"value")

    async def gone() -> bool:
        return await store.get(B) is None

    await backend.pass_time(0.11, until=gone)
    await store.delete([B])
    await store.scrub()
    assert await store.get(A) == b"payload"
    assert await listed(store) == {A: b"record"}
    assert await store.counts("ledger") == {"x": 1}
    assert await store.claim("epoch", b"another") == name


async def test_records_of_many(store: Store) -> None:
    wanted = {EntryKey(os.urandom(16)): os.urandom(20) for _ in range(1500)}
    await put_all(store, wanted)
    assert await listed(store) == wanted


async def test_records_while_writing(store: Store) -> None:
    keys = [EntryKey(os.urandom(16)) for _ in range(1200)]
    await put_all(store, dict.fromkeys(keys, b"r"))
    seen: set[EntryKey] = set()
    async for key, _ in store.records():
        assert key not in seen
        seen.add(key)
        if len(seen) % 100 == 1:  # delete and put again what was listed, and what was not
            await store.delete([key, keys[0]])
            await store.put(key, b"p", b"r", HOUR_S)
            await store.put(keys[0], b"p", b"r", HOUR_S)
            await store.put(EntryKey(os.urandom(16)), b"p", b"r", HOUR_S)
    assert seen >= set(keys[1:])


async def test_a_listing_may_be_left_early(store: Store) -> None:
    wanted = {EntryKey(os.urandom(16)): os.urandom(20) for _ in range(50)}
    await put_all(store, wanted)

    async def leave(turns: int) -> None:
        async for _ in store.records():
            for _ in range(turns):
                await asyncio.sleep(0)
            return

    for turns in range(40):
        task = asyncio.create_task(leave(turns))
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns % 2:
            task.cancel()
        await asyncio.wait({task})
    assert await listed(store) == wanted


async def test_many_at_once(store: Store) -> None:
    """200 mixed calls, each key owned by one task, so that each knows what it must read."""

    async def work(number: int) -> None:
        key = EntryKey(number.to_bytes(16, "big"))
        rng = random.Random(number)
        for turn in range(3):
            value = b"%d.%d." % (number, turn) * rng.randrange(1, 200)
            await store.put(key, value, value[:50], HOUR_S)
            assert await store.get(key) == value
            if rng.random() < 0.5:
                await store.delete([key])
                assert await store.get(key) is None
        await store.put(key, b"last", b"%d" % number, HOUR_S)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(work(number))
    records = await listed(store)
    assert sorted(records.values()) == sorted(b"%d" % number for number in range(200))


async def test_spaces_are_apart(backend: Backend) -> None:
    one, two = await backend.store("one"), await backend.store("one.two")
    await one.put(A, b"one", b"one", HOUR_S)
    await two.put(A, b"two", b"two", HOUR_S)
    await two.put(B, b"two", b"two", HOUR_S)
    await two.claim("name", b"two")
    await two.count("ledger", {"x": 2})
    assert await one.get(A) == b"one"
    assert await one.get(B) is None
    assert await listed(one) == {A: b"one"}
    assert await one.claim("name", b"one") == b"one"
    assert await one.counts("ledger") == {}
    await two.delete([A])
    assert await one.get(A) == b"one"
    await two.delete([B])


async def test_closed(store: Store) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    await store.aclose()
    await store.aclose()
    with pytest.raises(StoreError):
        await store.get(A)
    with pytest.raises(StoreError):
        await store.put(A, b"payload", b"record", HOUR_S)
    with pytest.raises(StoreError):
        await store.delete([A])
    with pytest.raises(StoreError):
        await store.claim("name", b"value")
    with pytest.raises(StoreError):
        await store.count("ledger", {"name": 1})
    with pytest.raises(StoreError):
        await store.counts("ledger")
    with pytest.raises(StoreError):
        await store.uncount("ledger", ["name"])
    with pytest.raises(StoreError):
        await store.lease("name", b"token", 1.0)
    with pytest.raises(StoreError):
        await store.release("name", b"token")
    with pytest.raises(StoreError):
        await store.scrub()
    with pytest.raises(StoreError):
        await listed(store)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_closing_while_calls_are_under_way(store: Store, cancelled: bool) -> None:
    """Each call is carried out or fails as a store does."""
    await store.put(A, b"payload", b"record", HOUR_S)

    async def put(number: int) -> None:
        await store.put(EntryKey(number.to_bytes(16, "big")), b"p" * 10_000, b"r", HOUR_S)

    async def read() -> None:
        assert await store.get(A) == b"payload"
        assert (await listed(store))[A] == b"record"

    calls = [asyncio.create_task(put(number)) for number in range(40)]
    calls += [asyncio.create_task(read()) for _ in range(40)]
    for _ in range(5):
        await asyncio.sleep(0)
    closing = asyncio.create_task(store.aclose())
    await asyncio.sleep(0)
    if cancelled:
        closing.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait({closing})
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert outcome is None or isinstance(outcome, StoreError)
    with pytest.raises(StoreError):
        await store.get(A)


async def test_close_of_what_was_never_opened(
    clock: FakeClock, tmp_path: Path, redis_url: str
) -> None:
    for store in (
        MemoryStore(clock),
        SqliteStore(tmp_path / "never.db", clock),
        RedisStore.from_url(redis_url, "never"),
    ):
        await store.aclose()
    assert not (tmp_path / "never.db").exists()


@pytest.mark.parametrize("kind", PERSISTENT)
async def test_reopened_keeps_everything(backend: Backend) -> None:
    first = await backend.store()
    await first.put(A, b"payload", b"record", HOUR_S)
    epoch = await first.claim("epoch", b"first")
    await first.count("evidence", {"right": 2})
    await first.aclose()
    second = await backend.store()
    assert await second.get(A) == b"payload"
    assert await listed(second) == {A: b"record"}
    assert await second.claim("epoch", b"second") == epoch
    await second.count("evidence", {"right": 1})
    assert await second.counts("evidence") == {"right": 3}


@pytest.mark.parametrize("kind", PERSISTENT)
async def test_claim_is_shared(backend: Backend) -> None:
    stores = [await backend.store() for _ in range(4)]
    kept = await asyncio.gather(
        *(store.claim("epoch", b"%d" % number) for number, store in enumerate(stores * 5))
    )
    assert len(set(kept)) == 1


@pytest.mark.parametrize("kind", PERSISTENT)
async def test_counters_are_shared(backend: Backend) -> None:
    stores = [await backend.store() for _ in range(4)]
    await asyncio.gather(*(store.count("evidence", {"right": 1}) for store in stores * 5))
    assert [await store.counts("evidence") for store in stores] == [{"right": 20}] * 4
