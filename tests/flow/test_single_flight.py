"""Concurrent equal misses make one upstream call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kindcache.cache.engine import Engine
from tests.drivers import AsgiDriver, Gate, Reply, ScriptedUpstream, chat_reply, error_reply
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio


def start(driver: AsgiDriver, *, stream: bool, **fields: Any) -> Any:
    messages = [{"role": "user", "content": "Tell me a story"}]
    body = {"model": "m", "messages": messages, "stream": stream} | fields
    return driver.start("POST", "/v1/chat/completions", json=body, headers=KEY)


async def settled(engine: Engine, followers: int) -> None:
    """Wait until that many callers follow the one flight."""
    async with asyncio.timeout(10):
        while sum(flight.followers for flight in engine.flights) < followers:
            await asyncio.sleep(0)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_hundred_equal_misses_make_one_call(
    upstream: ScriptedUpstream, stream: bool
) -> None:
    gate = Gate("answer")
    upstream.script = lambda seen: chat_reply(seen, "once upon", before=[gate])
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        exchanges = [start(driver, stream=stream) for _ in range(100)]
        await settled(app.service.engine, 99)
        gate.open()
        for exchange in exchanges:
            assert await exchange.ended() is None
        assert len(app.service.engine.flights) == 0
    assert upstream.count == 1
    collapsed = [e for e in exchanges if "collapsed" in (e.header("cache-status") or "")]
    assert len(collapsed) == 99
    assert all(b"once" in e.body and e.complete and e.status == 200 for e in exchanges)


async def test_followers_of_a_stream_get_its_frames_as_they_come(
    upstream: ScriptedUpstream,
) -> None:
    gate = Gate("second frame")
    upstream.script = lambda seen: chat_reply(seen, "once upon", gates=[gate])
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        leader = start(driver, stream=True)
        await leader.received(b"once")
        follower = start(driver, stream=True)
        await follower.received(b"once")
        assert b"upon" not in follower.body
        gate.open()
        await asyncio.gather(leader.ended(), follower.ended())
    assert follower.body == leader.body
    assert upstream.count == 1


async def test_a_plain_caller_shares_a_stream_in_progress(upstream: ScriptedUpstream) -> None:
    gate = Gate("second frame")
    upstream.script = lambda seen: chat_reply(seen, "once upon", gates=[gate])
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        leader = start(driver, stream=True)
        await leader.received(b"once")
        follower = start(driver, stream=False)
        await settled(app.service.engine, 1)
        gate.open()
        await asyncio.gather(leader.ended(), follower.ended())
    assert follower.json()["choices"][0]["message"]["content"] == "once upon"
    assert upstream.count == 1


@pytest.mark.parametrize("oserror", [True, False])
async def test_the_call_lives_on_when_its_leader_leaves(
    upstream: ScriptedUpstream, oserror: bool
) -> None:
    gate = Gate("second frame")
    upstream.script = lambda seen: chat_reply(seen, "once upon", gates=[gate])
    app = proxied(upstream.base_url)
    async with AsgiDriver(app, oserror_after_disconnect=oserror) as driver:
        leader = start(driver, stream=True)
        await leader.received(b"once")
        follower = start(driver, stream=True)
        await follower.received(b"once")
        leader.disconnect()
        gate.open()
        await follower.ended()
        await leader.ended()
        assert len(app.service.engine.memory.table) == 1
    assert follower.complete
    assert b"upon" in follower.body


async def test_the_call_ends_when_everyone_has_left(upstream: ScriptedUpstream) -> None:
    gate = Gate("never opened")
    upstream.script = lambda seen: chat_reply(seen, "once upon", gates=[gate])
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        leader = start(driver, stream=True)
        await leader.received(b"once")
        follower = start(driver, stream=True)
        await follower.received(b"once")
        leader.disconnect()
        follower.disconnect()
        await asyncio.gather(leader.ended(), follower.ended())
        assert len(app.service.engine.flights) == 0
        assert len(app.service.engine.memory.table) == 0


async def test_an_answer_that_may_not_be_shared_frees_the_others_one_at_a_time(
    upstream: ScriptedUpstream,
) -> None:
    gate = Gate("first answer")
    failure = error_reply(500)
    upstream.enqueue(Reply(failure.steps, 500, failure.headers, before=[gate]))
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        exchanges = [start(driver, stream=False) for _ in range(10)]
        await settled(app.service.engine, 9)
        gate.open()
        for exchange in exchanges:
            assert await exchange.ended() is None
    statuses = sorted(exchange.status for exchange in exchanges)
    assert statuses == [200] * 9 + [500]
    assert upstream.count == 2


async def test_hot_calls_share_only_if_the_category_says_so(upstream: ScriptedUpstream) -> None:
    upstream.script = lambda seen: chat_reply(seen, "once")
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        alone = [start(driver, stream=False, temperature=0.9) for _ in range(3)]
        for exchange in alone:
            await exchange.ended()
    assert upstream.count == 3
