from __future__ import annotations

import asyncio
import socket
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from kindcache.cache.errors import StartupError, StoreError
from kindcache.cache.ports import EntryKey
from kindcache.cache.stores.guarded import GuardedStore
from kindcache.cache.stores.redis import RedisStore
from tests.conftest import RedisServer

pytestmark = pytest.mark.anyio

A = EntryKey(b"A" * 16)
B = EntryKey(b"B" * 16)
HOUR_S = 3600.0
DEADLINE_S = 0.25
SECRET = b"nobody may see this"


@pytest.fixture(
    params=[("asyncio", {}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def bare(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    store = RedisStore.from_url(redis_server.url, "test")
    yield store
    await store.aclose()


@pytest.fixture
async def store(bare: RedisStore) -> GuardedStore:
    store = GuardedStore(bare, read_deadline_s=DEADLINE_S, write_deadline_s=DEADLINE_S)
    await store.open()
    return store


async def failure_s(call: Callable[[], Any]) -> float:
    """Return how long ``call`` took to raise ``StoreError``."""
    started_s = time.perf_counter()
    with pytest.raises(StoreError):
        await call()
    return time.perf_counter() - started_s


async def until_it_works(call: Callable[[], Any]) -> Any:
    async with asyncio.timeout(10.0):
        while True:
            try:
                return await call()
            except StoreError:
                await asyncio.sleep(0.01)


async def test_killed_and_restarted(store: GuardedStore, redis_server: RedisServer) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    await asyncio.gather(*(until_it_works(partial(store.get, A)) for _ in range(50)))
    redis_server.kill()
    for _ in range(100):
        assert await failure_s(partial(store.get, A)) < DEADLINE_S + 1.0
        assert await failure_s(lambda: store.put(A, b"p", b"r", HOUR_S)) < DEADLINE_S + 1.0
    assert store.degraded
    redis_server.start()
    assert await until_it_works(partial(store.get, A)) is None  # this server keeps nothing
    await until_it_works(lambda: store.put(A, b"again", b"record", HOUR_S))
    assert await store.get(A) == b"again"
    assert not store.degraded


async def test_killed_under_load(store: GuardedStore, redis_server: RedisServer) -> None:
    """Only ``StoreError`` comes out, whatever moment the server dies in."""
    results = {"fine": 0, "failed": 0}

    async def load(number: int) -> None:
        key = EntryKey(number.to_bytes(16, "big"))
        while not over.is_set():
            try:
                await store.put(key, key * 1000, key, HOUR_S)
                assert await store.get(key) in (key * 1000, None)
                results["fine"] += 1
            except StoreError:
                results["failed"] += 1
                await asyncio.sleep(0.001)

    over = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(load(number))
        for _ in range(3):
            reached = results["fine"] + 200
            while results["fine"] < reached:
                await asyncio.sleep(0.005)
            redis_server.kill()
            reached = results["failed"] + 50
            while results["failed"] < reached:
                await asyncio.sleep(0.005)
            redis_server.start()
        over.set()
    await until_it_works(partial(store.get, A))


async def test_data_survives_a_restart_of_a_durable_server(
    make_redis_server: Callable[..., RedisServer],
) -> None:
    server = make_redis_server(appendonly=True)
    server.start()
    store = RedisStore.from_url(server.url, "test")
    await store.put(A, b"payload", b"record", HOUR_S)
    server.restart()
    assert await until_it_works(partial(store.get, A)) == b"payload"
    assert [item async for item in store.records()] == [(A, b"record")]
    await store.aclose()


async def test_paused_and_resumed(
    store: GuardedStore, bare: RedisStore, redis_server: RedisServer
) -> None:
    """Answers to calls that were given up must not reach later calls."""
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(100)]
    for key in keys:
        await store.put(key, key * 10, key, HOUR_S)
    redis_server.pause()
    took_s = await asyncio.gather(*(failure_s(partial(store.get, key)) for key in keys))
    assert max(took_s) < DEADLINE_S + 1.0
    redis_server.resume()
    for key in reversed(keys):
        assert await until_it_works(partial(store.get, key)) == key * 10
    # Without the short deadline, which a hundred calls at once may miss on a busy machine.
    side_by_side = (until_it_works(partial(bare.get, key)) for key in keys)
    assert await asyncio.gather(*side_by_side) == [key * 10 for key in keys]


async def test_cancelled_calls_give_their_connections_back(bare: RedisStore) -> None:
    """More cancelled calls than connections, at every moment of a call; none mixes answers."""
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(300)]
    await asyncio.gather(*(bare.put(key, key * 10, key, HOUR_S) for key in keys))
    for turns in range(20):
        tasks = [asyncio.create_task(bare.get(key)) for key in keys[:60]]
        tasks += [asyncio.create_task(bare.put(key, key * 10, key, HOUR_S)) for key in keys[:10]]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    async with asyncio.timeout(10):
        found = await asyncio.gather(*(bare.get(key) for key in keys))
    assert found == [key * 10 for key in keys]


async def test_closing_leaves_no_connection(redis_server: RedisServer) -> None:
    """At whatever moment of the calls under way, connecting among them."""
    look = Redis.from_url(redis_server.url)
    for turns in range(0, 40, 3):
        store = RedisStore.from_url(redis_server.url, "test")
        calls = [asyncio.create_task(store.put(A, b"p", b"r", HOUR_S)) for _ in range(30)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls[::3]:
            call.cancel()
        async with asyncio.timeout(10.0):
            await store.aclose()
            await asyncio.gather(*calls, return_exceptions=True)
            while len(await look.client_list()) != 1:  # the server notices a little later
                await asyncio.sleep(0.01)
    await look.aclose()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_records_of_many_are_quick_and_leave_the_loop_free(bare: RedisStore) -> None:
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(10_000)]
    for start in range(0, len(keys), 200):  # more at once would come near the deadline
        puts = (bare.put(key, b"p", bytes(900), HOUR_S) for key in keys[start : start + 200])
        await asyncio.gather(*puts)
    longest_s = 0.0
    started_s = last_s = time.perf_counter()
    count = 0
    async for _ in bare.records():
        count += 1
        now_s = time.perf_counter()
        longest_s = max(longest_s, now_s - last_s)
        last_s = now_s
    assert count == 10_000
    assert time.perf_counter() - started_s < 5.0  # usually 0.2 s
    assert longest_s < 0.5


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_command_is_legal_in_a_cluster(
    make_redis_server: Callable[..., RedisServer],
) -> None:
    """A node of a cluster refuses commands and transactions with keys of several slots."""
    server = make_redis_server()
    server.options = {"cluster-enabled": "yes", "cluster-port": str(make_redis_server().port)}
    server.start()
    look = Redis.from_url(server.url)
    command: Callable[..., Awaitable[object]] = look.execute_command
    await command("CLUSTER ADDSLOTSRANGE", 0, 16383)
    store = RedisStore.from_url(server.url, "test")
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(600)]
    await until_it_works(lambda: store.put(keys[0], b"payload", b"record", HOUR_S))
    await asyncio.gather(*(store.put(key, b"payload", b"record", HOUR_S) for key in keys))
    assert {key async for key, _ in store.records()} == set(keys)
    assert await store.get(keys[-1]) == b"payload"
    assert await store.claim("epoch", b"value") == b"value"
    await store.delete(keys)
    assert set(await look.keys()) == {b"test:m:epoch", b"test:changes"}
    await store.aclose()
    await look.aclose()


async def test_no_server_at_all() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        store = RedisStore.from_url(f"redis://:hunter2@127.0.0.1:{port}/0", "test")
        with pytest.raises(StoreError) as caught:
            await store.open()
        await store.aclose()
    assert str(port) in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_an_unreadable_address_is_refused_without_quoting_it() -> None:
    for url in (
        "http://hunter2@host",
        "redis://:hunter2@host:port",
        "redis://h/0?colour=red",
    ):
        with pytest.raises(StartupError) as caught:
            RedisStore.from_url(url, "test")
        assert "hunter2" not in str(caught.value)


async def test_a_wrong_password_is_an_error(redis_server: RedisServer) -> None:
    admin = Redis.from_url(redis_server.url)
    await admin.config_set("requirepass", "correct horse")
    await admin.aclose()
    for secret in ("", ":hunter2@"):
        store = RedisStore.from_url(redis_server.url.replace("//", f"//{secret}"), "test")
        for call in (store.open, partial(store.get, A)):
            with pytest.raises(StoreError) as caught:
                await call()
            assert "hunter2" not in str(caught.value)
        await store.aclose()
    store = RedisStore.from_url(redis_server.url.replace("//", "//:correct%20horse@"), "test")
    await store.open()
    await store.aclose()


@pytest.mark.parametrize("trouble", ["full", "replica", "wrong type"])
async def test_refused_commands_are_errors_that_show_nothing(
    bare: RedisStore, redis_server: RedisServer, trouble: str
) -> None:
    await bare.put(A, b"payload", b"record", HOUR_S)
    admin = Redis.from_url(redis_server.url)
    match trouble:
        case "full":
            await admin.config_set("maxmemory", 1)
        case "replica":
            await admin.replicaof("127.0.0.1", "1")
        case "wrong type":
            await admin.delete(f"test:p:{{{A.hex()}}}")
            await admin.rpush(f"test:p:{{{A.hex()}}}", "x")
    await admin.aclose()
    refused = partial(bare.put, B, SECRET, SECRET, HOUR_S)
    with pytest.raises(StoreError) as caught:
        await (bare.get(A) if trouble == "wrong type" else refused())
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET.decode() not in shown
    assert B.hex() not in shown
    if trouble != "wrong type":
        assert await bare.get(A) == b"payload"


async def test_keys_are_as_documented(bare: RedisStore, redis_server: RedisServer) -> None:
    await bare.put(A, b"payload", b"record", 60.0)
    await bare.claim("epoch", b"value")
    look = Redis.from_url(redis_server.url)
    tag = "{" + A.hex() + "}"
    assert set(await look.keys()) == {
        f"test:p:{tag}".encode(),
        f"test:x:{tag}".encode(),
        b"test:m:epoch",
        b"test:changes",
    }
    assert 0 < await look.pttl(f"test:p:{tag}") <= 60_000
    assert 0 < await look.pttl(f"test:x:{tag}") <= 60_000
    assert await look.pttl("test:m:epoch") == -1
    await look.set("test:x:{not a key}", b"foreign")
    await look.aclose()
    assert [item async for item in bare.records()] == [(A, b"record")]


async def test_one_round_trip_each(bare: RedisStore, redis_server: RedisServer) -> None:
    await bare.put(A, b"payload", b"record", HOUR_S)
    look = Redis.from_url(redis_server.url)

    async def commands() -> int:
        stats = await look.info("commandstats")
        return sum(v["calls"] for name, v in stats.items() if name != "cmdstat_info")

    before = await commands()
    await bare.get(A)
    assert await commands() - before == 1
    before = await commands()
    await bare.put(A, b"payload", b"record", HOUR_S)
    assert await commands() - before == 5  # MULTI, SET, SET, EXEC, XADD
    await look.aclose()


async def test_unix_socket(tmp_path: Path, make_redis_server: Callable[..., RedisServer]) -> None:
    server = make_redis_server()
    path = tmp_path / "s"
    server.options = {"unixsocket": str(path)}
    server.start()
    store = RedisStore.from_url(f"unix://{path}?db=1", "test")
    await store.open()
    await store.put(A, b"payload", b"record", HOUR_S)
    assert await store.get(A) == b"payload"
    await store.aclose()
