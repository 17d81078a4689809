"""What Redis does on its bad days costs hits: counted misses in bounded time, never an error."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import Redis

from tests.conftest import RedisServer
from tests.drivers import AsgiDriver, ScriptedUpstream, chat_reply
from tests.drivers.cached import KEY, proxied
from tests.drivers.redis_forms import command, info, until

pytestmark = pytest.mark.anyio

MISS_S = 2.0  # the read deadline many times over, for a busy machine


@pytest.fixture
def app(upstream: ScriptedUpstream, redis_server: RedisServer) -> Any:
    return proxied(upstream.base_url, config(redis_server.url))


@pytest.fixture
async def driver(app: Any) -> AsyncIterator[AsgiDriver]:
    async with AsgiDriver(app) as driver:
        await until_hit(driver)
        yield driver


def config(url: str) -> dict[str, dict[str, object]]:
    return {"store": {"url": url, "hot_payloads": 1, "read_deadline": "200ms"}}


async def ask(driver: AsgiDriver, prompt: str) -> str:
    """Ask once; fail unless there is an answer in time. Return hit or miss, and why."""
    async with asyncio.timeout(MISS_S):
        exchange = await driver.chat(prompt, headers=KEY)
    assert exchange.status == 200
    return f"{exchange.header('x-cache')} {exchange.header('x-cache-reason')}"


async def stored(driver: AsgiDriver, app: Any, prompt: str) -> bytes:
    """Ask until the answer is stored; return its key in the store."""
    before = keys_of(app)
    await ask(driver, prompt)
    await app.service.engine.memory.writer.drain()
    (key,) = keys_of(app) - before
    return bytes(key)


def keys_of(app: Any) -> set[bytes]:
    return {entry.key for entry in app.service.engine.memory.table}


async def until_hit(driver: AsgiDriver) -> None:
    """Ask new questions twice each until one is a hit."""
    async with asyncio.timeout(20):
        for number in range(10_000):
            await ask(driver, f"is it back {number}")
            await asyncio.sleep(0.02)
            if (await ask(driver, f"is it back {number}")).startswith("HIT"):
                return


def failures(app: Any) -> float:
    text = app.service.metrics.exposition().decode()
    lines = [line for line in text.splitlines() if line.startswith("kindcache_failures_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@pytest.mark.parametrize("what", ["payload", "record", "both"])
async def test_evicted_keys_are_misses_or_nothing(
    driver: AsgiDriver, app: Any, redis_server: RedisServer, what: str
) -> None:
    key = (await stored(driver, app, "what was evicted")).hex()
    letters = {"payload": "p", "record": "x", "both": "px"}[what]
    for letter in letters:
        assert command(redis_server, "DEL", f"kindcache:{letter}:{{{key}}}") == 1
    again = await ask(driver, "what was evicted")
    if what == "record":
        assert again == "HIT exact"
        return
    assert again.startswith("MISS")
    await app.service.engine.memory.writer.drain()
    assert await ask(driver, "what was evicted") == "HIT exact"


async def test_a_full_server_that_evicts_costs_hits_only(
    driver: AsgiDriver, app: Any, redis_server: RedisServer, upstream: ScriptedUpstream
) -> None:
    upstream.script = lambda seen: chat_reply(seen, os.urandom(8192).hex())
    used = info(redis_server, "memory")["used_memory"]
    command(redis_server, "CONFIG SET", "maxmemory-policy", "allkeys-lru")
    command(redis_server, "CONFIG SET", "maxmemory", used + 300_000)
    for number in range(60):
        await ask(driver, f"many different questions {number}")
    assert info(redis_server, "stats")["evicted_keys"] > 0
    for number in range(0, 60, 10):
        await ask(driver, f"many different questions {number}")
    await until_hit(driver)


async def test_a_full_server_that_evicts_nothing_serves_what_it_has(
    driver: AsgiDriver, app: Any, redis_server: RedisServer
) -> None:
    await stored(driver, app, "before it was full")
    counted = failures(app)
    command(redis_server, "CONFIG SET", "maxmemory-policy", "noeviction")
    command(redis_server, "CONFIG SET", "maxmemory", 1)
    assert (await ask(driver, "when it is full")).startswith("MISS")
    await app.service.engine.memory.writer.drain()
    assert failures(app) > counted
    assert await ask(driver, "before it was full") == "HIT exact"
    command(redis_server, "CONFIG SET", "maxmemory", 0)
    await until_hit(driver)


async def test_a_server_that_becomes_a_replica_serves_and_stores_nothing(
    driver: AsgiDriver, app: Any, redis_server: RedisServer
) -> None:
    await stored(driver, app, "before the failover")
    counted = failures(app)
    command(redis_server, "REPLICAOF", "127.0.0.1", "1")
    assert (await ask(driver, "after the failover")).startswith("MISS")
    await app.service.engine.memory.writer.drain()
    assert failures(app) > counted
    assert await ask(driver, "before the failover") == "HIT exact"
    command(redis_server, "REPLICAOF", "NO", "ONE")
    await until_hit(driver)


async def test_another_password_is_a_miss_until_it_is_the_known_one_again(
    driver: AsgiDriver, app: Any, redis_server: RedisServer
) -> None:
    await stored(driver, app, "before the change")
    command(redis_server, "CONFIG SET", "requirepass", "another")
    counted = failures(app)
    with Redis(port=redis_server.port, password="another") as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
        assert (await ask(driver, "before the change")).startswith("MISS store")
        assert failures(app) > counted
        admin.config_set("requirepass", "")
    await until_hit(driver)
    assert await ask(driver, "before the change") == "HIT exact"


async def test_a_password_may_be_changed_without_a_miss(
    upstream: ScriptedUpstream, redis_server: RedisServer
) -> None:
    command(redis_server, "ACL", "SETUSER", "cache", "on", ">old", "~*", "&*", "+@all")
    environ = {"KINDCACHE_SECRET": "a secret that only tests use", "PASSWORD": "old"}
    url = redis_server.url.replace("//", "//cache@")
    settings = {"store": {"url": url, "hot_payloads": 1, "password_env": "PASSWORD"}}
    first = proxied(upstream.base_url, settings, environ=environ)
    second = proxied(upstream.base_url, settings, environ={**environ, "PASSWORD": "new"})
    async with AsgiDriver(first) as before:
        await until_hit(before)
        await stored(before, first, "asked with the old one")
        command(redis_server, "ACL", "SETUSER", "cache", ">new")
        async with AsgiDriver(second) as after:
            assert await ask(after, "asked with the old one") == "HIT exact"
            assert await ask(before, "asked with the old one") == "HIT exact"
            command(redis_server, "ACL", "SETUSER", "cache", "<old")
            assert await ask(after, "asked with the old one") == "HIT exact"


async def test_a_server_that_loads_its_data_is_a_miss(
    driver: AsgiDriver, app: Any, redis_server: RedisServer
) -> None:
    await stored(driver, app, "before the restart")
    with Redis(port=redis_server.port) as client:
        client.mset({f"other:{number}": os.urandom(4096) for number in range(300)})
        client.save()
    redis_server.kill()
    redis_server.options = {
        "key-load-delay": "10000",  # microseconds for each key
        "loading-process-events-interval-bytes": "1024",
    }
    loading = asyncio.create_task(asyncio.to_thread(redis_server.start))
    await asyncio.to_thread(until, "it loads", lambda: is_loading(redis_server))
    assert (await ask(driver, "before the restart")).startswith("MISS store")
    no_loading_delay(redis_server)
    await loading
    await until_hit(driver)
    assert await ask(driver, "before the restart") == "HIT exact"


def is_loading(server: RedisServer) -> bool:
    with socket.create_connection(("127.0.0.1", server.port), timeout=1.0) as link:
        link.sendall(b"PING\r\n")
        return link.recv(64).startswith(b"-LOADING")


def no_loading_delay(server: RedisServer) -> None:
    """Let it load at full speed; as bytes, since the client library waits for the end of it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5.0) as link:
        link.sendall(b"CONFIG SET key-load-delay 0\r\n")
        assert link.recv(64) == b"+OK\r\n"
