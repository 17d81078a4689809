"""Streams pass frame by frame, and what breaks off is neither stored nor waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.drivers import Act, AsgiDriver, Gate, Reply, ScriptedUpstream, Seen, chat_reply
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio

BODY = {"model": "m", "messages": [{"role": "user", "content": "Tell me a story"}], "stream": True}


def start(driver: AsgiDriver, **fields: Any) -> Any:
    return driver.start("POST", "/v1/chat/completions", json=BODY | fields, headers=KEY)


def quiet() -> set[str]:
    """Name the tasks beside the test's own and the cache's upkeep."""
    tasks = {repr(task.get_coro()) for task in asyncio.all_tasks()}
    return {name for name in tasks if "Responder" in name or "follow" in name or "_share" in name}


async def test_the_first_frame_reaches_the_client_before_the_second_exists(
    upstream: ScriptedUpstream,
) -> None:
    gate = Gate("second frame")
    upstream.script = lambda seen: chat_reply(seen, "once upon", gates=[gate])
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        exchange = start(driver)
        await exchange.received(b"once")
        assert b"upon" not in exchange.body
        gate.open()
        assert await exchange.ended() is None
    assert b"upon" in exchange.body


async def test_the_bytes_of_a_stream_are_untouched(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        exchange = start(driver)
        await exchange.ended()
    reply = chat_reply(upstream.requests[0], "Answer to: Tell me a story")
    assert exchange.body == b"".join(step for step in reply.steps if isinstance(step, bytes))


async def test_a_client_that_leaves_mid_stream_leaves_no_entry_and_no_task(
    upstream: ScriptedUpstream,
) -> None:
    gate = Gate("never opened")
    upstream.script = lambda seen: chat_reply(seen, "once upon a time", gates=[gate])
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        exchange = start(driver)
        await exchange.received(b"once")
        exchange.disconnect()
        await exchange.ended()
        engine = app.service.engine
        assert len(engine.memory.table) == 0
        assert len(engine.flights) == 0
        assert not quiet()
        upstream.script = lambda seen: chat_reply(seen, "anew")
        again = start(driver)
        await again.ended()
    assert again.header("x-cache") == "MISS"
    assert b"anew" in again.body


@pytest.mark.parametrize("after", [b"", b'data: {"error":{"message":"overloaded"}}\n\n'])
async def test_a_stream_that_breaks_off_is_visibly_incomplete_and_not_stored(
    upstream: ScriptedUpstream, after: bytes
) -> None:
    def broken(seen: Seen) -> Any:
        whole = chat_reply(seen, "once upon a time")
        return Reply((*whole.steps[:3], after, Act.CLOSE), headers=whole.headers)

    upstream.script = broken
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        exchange = start(driver)
        error = await exchange.ended()
        assert len(app.service.engine.memory.table) == 0
        assert len(app.service.engine.flights) == 0
    assert error is not None
    assert not exchange.complete
    assert b"[DONE]" not in exchange.body


async def test_a_stream_without_its_terminal_frame_is_not_stored(
    upstream: ScriptedUpstream,
) -> None:
    def unfinished(seen: Seen) -> Any:
        whole = chat_reply(seen, "once upon a time")
        return Reply(whole.steps[:-1], headers=whole.headers)

    upstream.script = unfinished
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        await start(driver).ended()
        assert len(app.service.engine.memory.table) == 0
