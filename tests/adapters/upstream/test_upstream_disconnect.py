from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from kindcache.adapters.upstream.app import UpstreamApp
from tests.drivers import (
    Act,
    AsgiDriver,
    Reply,
    ScriptedUpstream,
    serve,
    sse_reply,
)
from tests.drivers.forwarding import forwarding

pytestmark = pytest.mark.anyio


class TestDisconnect:
    async def test_before_the_upstream_has_answered(self, upstream: ScriptedUpstream) -> None:
        upstream.enqueue(Reply(before=[Act.HANG]))
        async with forwarding(upstream.base_url) as driver:
            exchange = driver.start("POST", "/v1/chat/completions", body=b"{}")
            seen = await upstream.request()
            await seen.read.passed()
            exchange.disconnect()
            assert await exchange.ended() is None
            await seen.disconnected.passed()
        assert exchange.messages == []

    async def test_in_the_middle_of_the_answer(self, upstream: ScriptedUpstream) -> None:
        upstream.enqueue(sse_reply({"n": 1}, Act.HANG))
        async with forwarding(upstream.base_url) as driver:
            exchange = driver.start("POST", "/v1/chat/completions", body=b"{}")
            await exchange.received(b"\n\n")
            exchange.disconnect()
            assert await exchange.ended() is None
            await upstream.requests[0].disconnected.passed()
        assert not exchange.complete

    async def test_in_the_middle_of_an_upload(self, upstream: ScriptedUpstream) -> None:
        async with forwarding(upstream.base_url) as driver:
            exchange = driver.start("POST", "/v1/files", body=None)
            exchange.feed(b"first")
            seen = await upstream.request()
            await seen.first_piece.passed()
            exchange.disconnect()
            assert await exchange.ended() is None
            await seen.disconnected.passed()
        assert not seen.read.is_open
        assert exchange.messages == []

    async def test_before_anything_was_sent(self, upstream: ScriptedUpstream) -> None:
        async with forwarding(upstream.base_url) as driver:
            exchange = driver.start("POST", "/v1/files", body=None)
            exchange.disconnect()
            assert await exchange.ended() is None
        assert upstream.count == 0

    async def test_a_send_that_fails(self, upstream: ScriptedUpstream) -> None:
        upstream.enqueue(Reply((b"x", Act.HANG)))
        app = UpstreamApp(upstream.base_url)

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                raise OSError("gone")

        scope = {"type": "http", "method": "GET", "path": "/v1/x", "headers": []}
        await asyncio.wait_for(app(scope, receive, send), 5)
        await upstream.requests[0].disconnected.passed()
        await app.aclose()

    async def test_being_cancelled(self, upstream: ScriptedUpstream) -> None:
        upstream.enqueue(Reply(before=[Act.HANG]), sse_reply({"n": 1}, Act.HANG))
        async with forwarding(upstream.base_url) as driver:
            waiting = driver.start("POST", "/v1/chat/completions", body=b"{}")
            await (await upstream.request(0)).read.passed()
            streaming = driver.start("POST", "/v1/chat/completions", body=b"{}")
            await streaming.received(b"\n\n")
            for exchange in (waiting, streaming):
                exchange.task.cancel()
                assert isinstance(await exchange.ended(), asyncio.CancelledError)
            for seen in upstream.requests:
                await seen.disconnected.passed()

    async def test_through_a_real_server(self, upstream: ScriptedUpstream) -> None:
        upstream.enqueue(sse_reply({"n": 1}, Act.HANG))
        with serve(UpstreamApp(upstream.base_url)) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"\n\n")
            writer.close()
            await writer.wait_closed()
            await upstream.requests[0].disconnected.passed()

    async def test_a_finished_exchange_interrupts_nobody_in_front(
        self, upstream: ScriptedUpstream
    ) -> None:
        """A middleware may still be at work in `send` when the server reports the end."""
        finished: list[bytes] = []
        app = UpstreamApp(upstream.base_url)

        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            async def tee(message: MutableMapping[str, Any]) -> None:
                await send(message)
                if message["type"] == "http.response.body" and not message["more_body"]:
                    await asyncio.sleep(0.01)  # work after the end
                    finished.append(message["body"])

            await app(scope, receive, tee)

        exchange = await AsgiDriver(middleware).chat("hello")
        await app.aclose()
        assert exchange.status == 200
        assert len(finished) == 1
