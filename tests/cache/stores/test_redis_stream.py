"""The change log in Redis, where the server does what servers do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from kindcache.cache.errors import StoreError
from kindcache.cache.ports import Change, EntryKey, Gap, News
from kindcache.cache.stores.redis import RedisStore
from kindcache.cache.stores.redis_stream import SEQUENCE_BITS
from tests.conftest import RedisServer

pytestmark = pytest.mark.anyio

A, B = EntryKey(b"A" * 16), EntryKey(b"B" * 16)
HOUR_S = 3600.0


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    made = RedisStore.from_url(redis_server.url, "test")
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture
async def admin(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_server.url)
    yield client
    await client.aclose()


async def told(store: RedisStore, after: int = 0) -> list[Change]:
    found = await store.changes.since(after, 100, 0.0)
    assert not isinstance(found, Gap)
    return list(found)


async def test_what_could_not_be_told_is_told_later(store: RedisStore, admin: Redis) -> None:
    await admin.config_set("maxmemory", 1)
    with pytest.raises(StoreError):
        await store.put(A, b"payload", b"record", HOUR_S)
    await admin.config_set("maxmemory", 0)
    assert [change.keys for change in await told(store)] == [[A]]  # whoever hears it looks
    assert len(await told(store)) == 1


async def test_a_server_that_lost_its_log_leaves_a_gap(store: RedisStore, admin: Redis) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    last = await store.changes.latest()
    await admin.flushall()
    assert await store.changes.since(last, 10, 5.0) == Gap("behind")
    await store.put(B, b"payload", b"record", HOUR_S)
    assert await store.changes.since(last, 10, 5.0) == Gap("trimmed")
    assert await store.changes.latest() > last  # no position is given twice


async def test_a_log_that_lost_its_end_leaves_a_gap(store: RedisStore, admin: Redis) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    first = await store.changes.latest()
    await store.put(B, b"payload", b"record", HOUR_S)
    last = await store.changes.latest()
    ms, number = divmod(last, 1 << SEQUENCE_BITS)
    assert await admin.xdel("test:changes", f"{ms}-{number}") == 1
    assert await store.changes.since(last, 10, 5.0) == Gap("behind")
    assert await told(store, first) == []


async def test_entries_of_others_in_the_log_are_passed_over(
    store: RedisStore, admin: Redis
) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    await admin.xadd("test:changes", {"z": "of another version", "n": "short"})
    await admin.xadd("test:changes", {"z": "of another version"})
    changes = await told(store)
    assert [(change.kind, change.body) for change in changes] == [
        ("admit", A),
        ("notice", b""),
        ("notice", b""),
    ]
    assert changes[-1].position == await store.changes.latest()


async def test_one_entry_is_one_line_of_few_bytes(store: RedisStore, admin: Redis) -> None:
    for number in range(1000):
        await store.changes.tell([News("admit", number.to_bytes(16, "big"))])
    size_bytes = await admin.memory_usage("test:changes", samples=0)
    assert size_bytes is not None
    assert size_bytes / 1000 < 100
