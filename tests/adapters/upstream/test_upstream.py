from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import aiohttp
import httpx2
import pytest

from kindcache.adapters.upstream.app import UpstreamApp
from tests.drivers import (
    AsgiDriver,
    Gate,
    Reply,
    ScriptedUpstream,
    error_reply,
    html_reply,
    json_reply,
    raw_upstream,
    serve,
    sse_reply,
)
from tests.drivers.forwarding import forwarding
from tests.drivers.replies import chat_reply

pytestmark = pytest.mark.anyio
MB = 1 << 20
SECRET = "sk-very-secret"


class TestFidelity:
    async def test_a_chat_goes_through_and_back(self, upstream: ScriptedUpstream) -> None:
        async with forwarding(upstream.base_url) as driver:
            exchange = await driver.chat("Why is the sky blue?")
        assert exchange.status == 200
        message = exchange.json()["choices"][0]["message"]
        assert message["content"] == "Answer to: Why is the sky blue?"
        assert upstream.requests[0].path == "/v1/chat/completions"
        assert upstream.requests[0].method == "POST"

    async def test_request_headers_arrive_in_order_and_nothing_is_added(
        self, upstream: ScriptedUpstream
    ) -> None:
        sent = [
            ("host", "cache.example"),
            ("x-first", "1"),
            ("authorization", f"Bearer {SECRET}"),
            ("connection", "keep-alive, X-Hop"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("x-hop", "for the proxy only"),
            ("x-repeated", "a"),
            ("cookie", "a=b; c=d"),
            ("x-repeated", "b"),
            ("accept-encoding", "br"),
            ("x-utf8", "Zürich".encode().decode("latin-1")),
        ]
        async with forwarding(upstream.base_url) as driver:
            await driver.request("POST", "/v1/chat/completions", body=b"{}", headers=sent)
        host = upstream.origin.removeprefix("http://")
        arrived = [(k.decode(), v.decode("latin-1")) for k, v in upstream.requests[0].headers]
        assert arrived == [
            ("host", host),
            ("x-first", "1"),
            ("authorization", f"Bearer {SECRET}"),
            ("x-repeated", "a"),
            ("cookie", "a=b; c=d"),
            ("x-repeated", "b"),
            ("accept-encoding", "br"),
            ("x-utf8", "Zürich".encode().decode("latin-1")),
            ("content-length", "2"),
        ]

    async def test_response_headers_come_back_in_order(self, upstream: ScriptedUpstream) -> None:
        headers = [
            ("Content-Type", "text/plain"),
            ("Set-Cookie", "a=1"),
            ("X-Request-Id", "r-1"),
            ("Set-Cookie", "b=2"),
            ("Connection", "x-internal"),
            ("X-Internal", "no"),
            ("Proxy-Authenticate", "Basic"),
            ("Content-Length", "4"),
        ]
        upstream.enqueue(Reply((b"fine",), status=201, headers=headers))
        async with forwarding(upstream.base_url) as driver:
            exchange = await driver.request("GET", "/v1/x")
            follow_up = await driver.request("GET", "/v1/models")
        assert exchange.status == 201
        assert exchange.raw_headers == [
            (b"content-type", b"text/plain"),
            (b"set-cookie", b"a=1"),
            (b"x-request-id", b"r-1"),
            (b"set-cookie", b"b=2"),
            (b"content-length", b"4"),
        ]
        assert exchange.body == b"fine"
        assert follow_up.status == 200
        assert upstream.requests[1].header("cookie") is None

    async def test_compressed_bytes_stay_as_they_are(self, upstream: ScriptedUpstream) -> None:
        packed = gzip.compress(b'{"a": 1}', mtime=0)
        upstream.enqueue(Reply((packed,), headers=[("content-encoding", "gzip")]))
        async with forwarding(upstream.base_url) as driver:
            exchange = await driver.request("GET", "/v1/x", headers={"accept-encoding": "gzip"})
        assert exchange.body == packed
        assert exchange.header("content-encoding") == "gzip"

    @pytest.mark.parametrize(
        "reply",
        [
            html_reply(),
            error_reply(429, retry_after="7"),
            error_reply(500),
            Reply((b"",), status=307, headers=[("location", "http://elsewhere.example/")]),
            Reply((bytes(range(256)),), headers=[("content-type", "application/octet-stream")]),
        ],
        ids=["html", "429", "500", "redirect", "binary"],
    )
    async def test_whatever_the_upstream_answers_is_the_answer(
        self, upstream: ScriptedUpstream, reply: Reply
    ) -> None:
        upstream.enqueue(reply)
        async with forwarding(upstream.base_url) as driver:
            exchange = await driver.chat("hello")
        assert exchange.status == reply.status
        assert exchange.body == b"".join(step for step in reply.steps if isinstance(step, bytes))
        assert exchange.raw_headers == [(k.encode(), v.encode()) for k, v in reply.headers]
        assert upstream.count == 1

    @pytest.mark.parametrize("body", [b"\xff\xfe not utf-8", b"{", b"", b"\x00" * 300_000])
    async def test_any_request_body_arrives(self, upstream: ScriptedUpstream, body: bytes) -> None:
        upstream.enqueue(json_reply({}))
        async with forwarding(upstream.base_url) as driver:
            await driver.request("POST", "/v1/audio", body=body)
        assert upstream.requests[0].body == body
        assert upstream.requests[0].header("content-length") == str(len(body))

    @pytest.mark.parametrize(
        ("method", "status", "length"),
        [("HEAD", 200, "1234"), ("GET", 204, None), ("GET", 304, None)],
    )
    async def test_answers_without_a_body_end_properly(
        self, upstream: ScriptedUpstream, method: str, status: int, length: str | None
    ) -> None:
        headers = [("content-length", "1234")] if method == "HEAD" else [("etag", '"x"')]
        upstream.enqueue(Reply((), status=status, headers=headers))
        with serve(UpstreamApp(upstream.base_url)) as proxy:
            async with httpx2.AsyncClient(base_url=proxy.url) as client:
                first = await client.request(method, "/v1/x")
                second = await client.get("/v1/models")
        assert first.status_code == status
        assert first.headers.get("content-length") == length
        assert first.content == b""
        assert second.status_code == 200

    async def test_a_304_that_names_a_length_ends_properly(self) -> None:
        answer = b'HTTP/1.1 304 Not Modified\r\netag: "x"\r\ncontent-length: 99\r\n\r\n'
        async with raw_upstream(answer) as base_url, forwarding(base_url) as driver:
            exchange = await driver.request("GET", "/v1/x")
        assert exchange.status == 304
        assert exchange.raw_headers == [(b"etag", b'"x"')]
        assert exchange.complete


class TestPaths:
    @pytest.mark.parametrize(
        ("base", "path", "arrives"),
        [
            ("", "/v1/chat/completions", "/v1/chat/completions"),
            ("/", "/v1/chat/completions", "/v1/chat/completions"),
            ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/", "/v1/chat/completions", "/v1/chat/completions"),
            ("/v1", "/health", "/health"),
            ("/v1", "/", "/"),
            ("/v1", "/v1", "/v1"),
            ("/v1", "/v10/x", "/v10/x"),
            ("/v1", "/v2/rerank", "/v2/rerank"),
            ("/openai/v1", "/v1/models", "/openai/v1/models"),
            ("/openai/v1", "/health", "/openai/health"),
            ("/v1beta/openai", "/v1/models", "/v1beta/openai/models"),
            ("/api/paas/v4", "/v1/models", "/api/paas/v4/models"),
            ("/gateway", "/v1/models", "/gateway/v1/models"),
            ("/gateway", "/health", "/gateway/health"),
        ],
    )
    async def test_base_url_and_path_join(
        self, upstream: ScriptedUpstream, base: str, path: str, arrives: str
    ) -> None:
        upstream.enqueue(json_reply({}))
        async with forwarding(upstream.origin + base) as driver:
            await driver.request("GET", path)
        assert upstream.requests[0].path == arrives

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/files/a%2Fb%20c%C3%A9",
            "/v1/a//b/../c/./d",
            "/v1/x?q=%2B+%20&q=a%26b&empty=&flag",
            "//evil.example/x",
            "/v1/@evil.example:80/",
        ],
    )
    async def test_path_and_query_arrive_byte_for_byte(
        self, upstream: ScriptedUpstream, path: str
    ) -> None:
        upstream.enqueue(json_reply({}))
        async with forwarding(upstream.base_url) as driver:
            await driver.request("GET", path)
        seen = upstream.requests[0]
        assert seen.path + ("?" + seen.query if seen.query else "") == path

    async def test_where_the_app_is_mounted_does_not_go_upstream(
        self, upstream: ScriptedUpstream
    ) -> None:
        async with forwarding(upstream.base_url) as driver:
            await driver.request("GET", "/llm/v1/models", root_path="/llm")
        assert upstream.requests[0].path == "/v1/models"

    async def test_a_server_that_gives_no_raw_path_works_too(
        self, upstream: ScriptedUpstream
    ) -> None:
        upstream.enqueue(json_reply({}))
        async with forwarding(upstream.base_url) as driver:
            await driver.request("GET", "/v1/files/a%20é".replace("é", "%C3%A9"), raw_path=None)
        assert upstream.requests[0].path == "/v1/files/a%20%C3%A9"

    async def test_a_request_without_a_path_is_refused(self, upstream: ScriptedUpstream) -> None:
        async with forwarding(upstream.base_url) as driver:
            exchange = await driver.request("OPTIONS", "*")
        assert exchange.status == 400
        assert exchange.json()["error"]["code"] == "invalid_path"
        assert upstream.count == 0


class TestStreaming:
    async def test_the_first_frame_arrives_before_the_second_exists(
        self, upstream: ScriptedUpstream
    ) -> None:
        second = Gate("second frame")
        upstream.script = lambda seen: chat_reply(seen, "one two three", gates=[second])
        with serve(UpstreamApp(upstream.base_url)) as proxy:
            async with (
                httpx2.AsyncClient(base_url=proxy.url) as client,
                client.stream(
                    "POST",
                    "/v1/chat/completions",
                    json={"stream": True, "messages": [{"role": "user", "content": "hi"}]},
                ) as response,
            ):
                assert response.headers["x-accel-buffering"] == "no"
                received = ""
                async for text in response.aiter_text():
                    received += text
                    if "one" in received and not second.is_open:
                        assert "two" not in received
                        second.open()
        assert received.endswith("data: [DONE]\n\n")

    async def test_chunks_are_not_joined(self, upstream: ScriptedUpstream) -> None:
        gates = [Gate(str(index)) for index in range(3)]
        upstream.enqueue(Reply((b"a", gates[0], b"b", gates[1], b"c", gates[2], b"d")))
        async with forwarding(upstream.base_url) as driver:
            exchange = driver.start("GET", "/v1/x")
            for gate, so_far in zip(gates, (b"a", b"ab", b"abc"), strict=True):
                await exchange.received(so_far)
                assert exchange.body == so_far
                gate.open()
            assert await exchange.ended() is None
        assert exchange.body == b"abcd"
        assert exchange.complete

    async def test_status_and_headers_go_out_before_the_body(
        self, upstream: ScriptedUpstream
    ) -> None:
        gate = Gate("body")
        upstream.enqueue(Reply((gate, b"late"), status=202))
        async with forwarding(upstream.base_url) as driver:
            exchange = driver.start("GET", "/v1/x")
            await exchange.started()
            assert exchange.status == 202
            gate.open()
            await exchange.ended()
        assert exchange.body == b"late"

    async def test_an_upstreams_own_buffering_header_stands(
        self, upstream: ScriptedUpstream
    ) -> None:
        upstream.enqueue(sse_reply(b"data: [DONE]\n\n", headers=[("x-accel-buffering", "yes")]))
        async with forwarding(upstream.base_url) as driver:
            exchange = await driver.request("GET", "/v1/x")
        found = [value for name, value in exchange.raw_headers if name == b"x-accel-buffering"]
        assert found == [b"yes"]

    async def test_an_upload_streams(self, upstream: ScriptedUpstream) -> None:
        upstream.enqueue(json_reply({"ok": True}))
        async with forwarding(upstream.base_url) as driver:
            exchange = driver.start("POST", "/v1/files", body=None)
            exchange.feed(b"first")
            seen = await upstream.request()
            await seen.first_piece.passed()
            assert seen.body == b"first"
            exchange.feed(b"second", more=False)
            assert await exchange.ended() is None
        assert exchange.json() == {"ok": True}
        assert seen.body == b"firstsecond"
        assert seen.header("transfer-encoding") == "chunked"

    async def test_20_mb_up_and_20_mb_down(self, upstream: ScriptedUpstream) -> None:
        piece = bytes(range(256)) * 4096
        upstream.enqueue(Reply((piece,) * 20, headers=[("content-length", str(20 * MB))]))

        async def upload() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield piece

        with serve(UpstreamApp(upstream.base_url)) as proxy:
            async with aiohttp.ClientSession() as client:
                headers = {"content-length": str(20 * MB)}
                response = await client.post(f"{proxy.url}/v1/x", data=upload(), headers=headers)
                received = await response.read()
        seen = upstream.requests[0]
        assert seen.header("content-length") == str(20 * MB)
        assert seen.body == piece * 20
        assert received == piece * 20
        assert response.headers["content-length"] == str(20 * MB)

    async def test_a_large_body_in_one_message_is_forwarded(
        self, upstream: ScriptedUpstream
    ) -> None:
        body = bytes(range(256)) * 4096 * 3
        upstream.enqueue(json_reply({}))
        async with forwarding(upstream.base_url) as driver:
            exchange = await driver.request("POST", "/v1/x", body=body)
        assert exchange.status == 200
        assert upstream.requests[0].body == body
        assert upstream.requests[0].header("content-length") == str(len(body))

    async def test_an_early_refusal_of_an_upload_reaches_the_client(self) -> None:
        answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig"
        async with raw_upstream(answer) as base_url, forwarding(base_url) as driver:
            exchange = driver.start("POST", "/v1/files", body=None)
            exchange.feed(b"the beginning")
            assert await exchange.ended() is None
        assert exchange.status == 413
        assert exchange.body == b"big"


class TestLifecycle:
    async def test_connections_are_reused(self, upstream: ScriptedUpstream) -> None:
        peers = set()

        async def probe(scope: Any, receive: Any, send: Any) -> None:
            peers.add(tuple(scope["client"]))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}", "more_body": False})

        with serve(probe) as server:
            async with forwarding(f"{server.url}/v1") as driver:
                for _ in range(5):
                    await driver.chat("hello")
        assert len(peers) == 1

    async def test_works_without_lifespan_and_closes_twice(
        self, upstream: ScriptedUpstream
    ) -> None:
        app = UpstreamApp(upstream.base_url)
        assert (await AsgiDriver(app).chat("hello")).status == 200
        await app.aclose()
        await app.aclose()
        assert (await AsgiDriver(app).chat("again")).status == 200
        await app.aclose()

    async def test_more_requests_than_connections_wait_their_turn(
        self, upstream: ScriptedUpstream
    ) -> None:
        async with forwarding(upstream.base_url, max_connections=2) as driver:
            exchanges = await asyncio.gather(*(driver.chat(f"q{n}") for n in range(10)))
        assert [exchange.status for exchange in exchanges] == [200] * 10

    async def test_websockets_are_refused(self, upstream: ScriptedUpstream) -> None:
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await UpstreamApp(upstream.base_url)({"type": "websocket"}, receive, send)
        assert [message["type"] for message in sent] == ["websocket.close"]
        assert sent[0]["code"] == 1011
