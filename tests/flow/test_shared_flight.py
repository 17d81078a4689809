"""Concurrent equal misses in several processes make one upstream call, where that is asked for."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from kindcache.cache.leases import TTL_S, Leases
from tests.conftest import RedisServer
from tests.drivers import AsgiDriver, Gate, ScriptedUpstream, chat_reply
from tests.drivers.cached import KEY, proxied
from tests.flow.test_invalidation_processes import Replica

pytestmark = pytest.mark.anyio

BODY = {"model": "m", "messages": [{"role": "user", "content": "Tell me a story"}]}


@pytest.fixture(params=["redis", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    if request.param == "sqlite":
        return shared(f"sqlite:///{tmp_path}/shared.db")
    return shared(request.getfixturevalue("redis_url"))


def shared(url: str) -> dict[str, str]:
    space = f"test.{uuid.uuid4().hex}"
    return {"url": url, "namespace": space, "single_flight": "shared", "read_deadline": "2s"}


def start(driver: AsgiDriver, *, stream: bool = False, **fields: Any) -> Any:
    body = BODY | {"stream": stream} | fields
    return driver.start("POST", "/v1/chat/completions", json=body, headers=KEY)


async def asked(upstream: ScriptedUpstream, count: int) -> None:
    async with asyncio.timeout(10):
        while upstream.count < count:
            await asyncio.sleep(0.005)


async def waiting(app: Any) -> None:
    """Wait until the first caller of ``app`` has begun a flight and has found the lease taken."""
    async with asyncio.timeout(10):
        while not len(app.service.engine.flights):
            await asyncio.sleep(0.005)


async def test_a_hundred_equal_misses_of_two_replicas_make_one_call(
    upstream: ScriptedUpstream, store: dict[str, str]
) -> None:
    gate = Gate("answer")
    upstream.script = lambda seen: chat_reply(seen, "once upon", before=[gate])
    one, two = (proxied(upstream.base_url, {"store": store}) for _ in range(2))
    async with AsgiDriver(one) as first, AsgiDriver(two) as second:
        calls = [start(driver) for _ in range(50) for driver in (first, second)]
        await asked(upstream, 1)
        await waiting(one)
        await waiting(two)
        gate.open()
        for call in calls:
            assert await call.ended() is None
    assert upstream.count == 1
    assert all(call.status == 200 and b"once upon" in call.body for call in calls)


async def test_a_stream_is_answered_with_what_another_replica_has_stored(
    upstream: ScriptedUpstream, store: dict[str, str]
) -> None:
    gate = Gate("second frame")
    upstream.script = lambda seen: chat_reply(seen, "once upon", gates=[gate])
    one, two = (proxied(upstream.base_url, {"store": store}) for _ in range(2))
    async with AsgiDriver(one) as first, AsgiDriver(two) as second:
        leader = start(first, stream=True)
        await leader.received(b"once")
        follower = start(second, stream=True)
        await waiting(two)
        gate.open()
        await asyncio.gather(leader.ended(), follower.ended())
    assert upstream.count == 1
    assert follower.header("x-cache") == "HIT"
    assert b"upon" in follower.body


async def test_a_leader_that_dies_frees_its_followers_within_the_time_of_its_lease(
    upstream: ScriptedUpstream, store: dict[str, str]
) -> None:
    one, two = (proxied(upstream.base_url, {"store": store}) for _ in range(2))
    async with AsgiDriver(one) as first, AsgiDriver(two) as second:
        await first.chat("warm", headers=KEY)
        await second.chat("warm", headers=KEY)
        quick(one, 1.0)
        quick(two, 1.0)
        gate = Gate("never for the first")
        upstream.script = lambda seen: chat_reply(seen, "once", before=[gate])
        lost = start(first)
        await asked(upstream, 2)
        die(one)
        upstream.script = lambda seen: chat_reply(seen, "twice")
        began_s = asyncio.get_running_loop().time()
        follower = start(second)
        assert await follower.ended() is None
        took_s = asyncio.get_running_loop().time() - began_s
        gate.open()
        await lost.ended()
    assert follower.status == 200
    assert b"twice" in follower.body
    assert took_s < 1.0 + 1.0  # the lease, and a busy machine


async def test_a_leader_that_lives_keeps_its_lease(
    upstream: ScriptedUpstream, store: dict[str, str]
) -> None:
    one, two = (proxied(upstream.base_url, {"store": store}) for _ in range(2))
    async with AsgiDriver(one) as first, AsgiDriver(two) as second:
        quick(one, 0.3)
        quick(two, 0.3)
        gate = Gate("answer")
        upstream.script = lambda seen: chat_reply(seen, "once", before=[gate])
        leader = start(first)
        await asked(upstream, 1)
        follower = start(second)
        held_until_s = asyncio.get_running_loop().time() + 0.9
        while asyncio.get_running_loop().time() < held_until_s:
            await asyncio.sleep(0.01)
            assert upstream.count == 1
        gate.open()
        await asyncio.gather(leader.ended(), follower.ended())
    assert upstream.count == 1
    assert follower.header("x-cache") == "HIT"


async def test_a_refused_answer_frees_the_other_replica(
    upstream: ScriptedUpstream, store: dict[str, str]
) -> None:
    gate = Gate("answer")
    upstream.script = lambda seen: chat_reply(
        seen, "cut off", finish_reason="length", before=[gate]
    )
    one, two = (proxied(upstream.base_url, {"store": store}) for _ in range(2))
    async with AsgiDriver(one) as first, AsgiDriver(two) as second:
        calls = [start(first), start(second)]
        await asked(upstream, 1)
        await waiting(two)
        gate.open()
        async with asyncio.timeout(3):  # less than the time of a lease
            for call in calls:
                await call.ended()
    assert upstream.count == 2
    assert [call.status for call in calls] == [200, 200]


async def test_a_waiting_client_that_leaves_is_forgotten(
    upstream: ScriptedUpstream, store: dict[str, str]
) -> None:
    gate = Gate("answer")
    upstream.script = lambda seen: chat_reply(seen, "once", before=[gate])
    one, two = (proxied(upstream.base_url, {"store": store}) for _ in range(2))
    async with AsgiDriver(one) as first, AsgiDriver(two) as second:
        leader = start(first)
        await asked(upstream, 1)
        follower = start(second)
        await waiting(two)
        follower.disconnect()
        await follower.ended()
        assert len(two.service.engine.flights) == 0
        gate.open()
        await leader.ended()
    assert upstream.count == 1


async def test_a_store_that_is_away_costs_no_answer(
    upstream: ScriptedUpstream, redis_server: RedisServer
) -> None:
    store = shared(redis_server.url) | {"read_deadline": "200ms"}
    app = proxied(upstream.base_url, {"store": store})
    async with AsgiDriver(app) as driver:
        await driver.chat("warm", headers=KEY)
        redis_server.pause()
        async with asyncio.timeout(5):
            call = start(driver)
            await call.ended()
        assert call.status == 200
        assert call.header("x-cache") == "MISS"
        redis_server.resume()


def quick(app: Any, ttl_s: float) -> None:
    """Let the leases of ``app`` run out soon."""
    engine = app.service.engine
    engine.leases = Leases(engine.store, engine.memory.writer, engine.observer, ttl_s=ttl_s)


def die(app: Any) -> None:
    """Renew and give back nothing any more, as a killed process does."""
    leases = app.service.engine.leases
    for held in leases._held.values():
        held.renewing.cancel()
    leases._held.clear()


async def test_a_killed_process_frees_its_followers(
    upstream: ScriptedUpstream, redis_url: str, tmp_path: Path
) -> None:
    settings = tmp_path / "kindcache.yaml"
    values = {"embedder": {"runtime": "hashing"}, "judge": {"scorer": "none"}}
    settings.write_text(yaml.safe_dump(values | {"store": shared(redis_url)}))
    gate = Gate("never for the first")
    upstream.script = lambda seen: chat_reply(seen, "once", before=[gate])
    async with aiohttp.ClientSession() as client:
        one, two = (Replica(settings, upstream.base_url, client) for _ in range(2))
        try:
            await asyncio.gather(one.start(), two.start())
            lost = asyncio.create_task(one.ask("Tell me a story"))
            await asked(upstream, 1)
            upstream.script = lambda seen: chat_reply(seen, "twice")
            follower = asyncio.create_task(two.ask("Tell me a story"))
            await one.kill()
            async with asyncio.timeout(TTL_S + 3.0):  # a busy machine
                assert await follower == ("twice", "MISS")
            with pytest.raises(aiohttp.ClientError):
                await lost
        finally:
            gate.open()
            await asyncio.gather(one.kill(), two.kill())
    assert upstream.count == 2
