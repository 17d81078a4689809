from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, closing
from typing import Any

import aiohttp
import httpx2
import pytest

from kindcache.adapters.upstream import UpstreamApp, UpstreamBroken
from tests.drivers import (
    Act,
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
from tests.drivers.replies import chat_reply

pytestmark = pytest.mark.anyio
MB = 1 << 20
SECRET = "sk-very-secret"
PROMPT = "the patient's name is Ada"


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared_upstream: ScriptedUpstream) -> ScriptedUpstream:
    shared_upstream.reset()
    return shared_upstream


@asynccontextmanager
async def forwarding(base_url: str, **options: Any) -> AsyncIterator[AsgiDriver]:
    """Run an UpstreamApp, and see to it that it leaves no task behind."""
    before = asyncio.all_tasks()
    async with AsgiDriver(UpstreamApp(base_url, **options)) as driver:
        yield driver
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def openai_error(exchange: Any, status: int, code: str) -> dict[str, Any]:
    assert exchange.status == status
    assert exchange.complete
    assert exchange.header("content-type") == "application/json"
    assert exchange.header("content-length") == str(len(exchange.body))
    error = exchange.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("upstream_error", None, code)
    for private in (SECRET, PROMPT, "/v1", "chat"):
        assert private not in exchange.body.decode()
    return dict(error)


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


class TestFailures:
    async def test_nobody_listens(self) -> None:
        port = free_port()
        async with forwarding(f"http://127.0.0.1:{port}/v1") as driver:
            exchange = await driver.chat(PROMPT, headers={"authorization": SECRET})
        error = openai_error(exchange, 502, "upstream_unreachable")
        assert f"http://127.0.0.1:{port}" in error["message"]

    async def test_the_name_does_not_exist(self) -> None:
        async with forwarding("http://upstream.invalid/v1", connect_timeout_s=30) as driver:
            exchange = await driver.chat(PROMPT)
        openai_error(exchange, 502, "upstream_unreachable")

    async def test_connecting_takes_too_long(self) -> None:
        # A full backlog leaves further connections unanswered.
        with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as listener:
            address = listener.getsockname()
            fillers = [socket.socket() for _ in range(4)]
            try:
                for filler in fillers:
                    filler.setblocking(False)
                    filler.connect_ex(address)
                url = f"http://127.0.0.1:{address[1]}/v1"
                async with forwarding(url, connect_timeout_s=0.1) as driver:
                    exchange = await driver.chat(PROMPT)
            finally:
                for filler in fillers:
                    filler.close()
        openai_error(exchange, 504, "upstream_timeout")

    async def test_the_upstream_never_answers(self, upstream: ScriptedUpstream) -> None:
        upstream.enqueue(Reply(before=[Act.HANG]))
        async with forwarding(upstream.base_url, timeout_s=0.1) as driver:
            exchange = await driver.chat(PROMPT, headers={"authorization": SECRET})
            await upstream.requests[0].disconnected.passed()
        openai_error(exchange, 504, "upstream_timeout")

    async def test_the_upstream_never_reads_an_upload(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            async with forwarding(url, timeout_s=0.1, connect_timeout_s=0.1) as driver:
                exchange = await driver.request("POST", "/v1/files", body=bytes(20 * MB))
        openai_error(exchange, 504, "upstream_timeout")

    async def test_a_slow_client_is_not_the_upstreams_fault(
        self, upstream: ScriptedUpstream
    ) -> None:
        upstream.enqueue(json_reply({"ok": True}))
        async with forwarding(upstream.base_url, timeout_s=0.1, connect_timeout_s=0.1) as driver:
            exchange = driver.start("POST", "/v1/files", body=None)
            exchange.feed(b"first")
            await asyncio.sleep(0.4)  # the slow client
            exchange.feed(b"last", more=False)
            assert await exchange.ended() is None
        assert exchange.status == 200

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 20",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nXYZ\r\n",
        ],
    )
    async def test_the_upstream_does_not_speak_http(self, answer: bytes) -> None:
        async with raw_upstream(answer) as base_url, forwarding(base_url) as driver:
            exchange = await driver.chat(PROMPT)
        openai_error(exchange, 502, "upstream_broken")

    @pytest.mark.parametrize(
        ("head", "half", "rest"),
        [
            (b"content-length: 100", b'{"half": ', b""),
            (b"transfer-encoding: chunked", b'9\r\n{"half": \r\n', b""),
            (b"transfer-encoding: chunked", b'9\r\n{"half": \r\n', b"XYZ\r\n"),
        ],
        ids=["content-length", "chunked", "bad chunk"],
    )
    @pytest.mark.parametrize("reset", [False, True])
    async def test_a_broken_body_ends_incomplete(
        self, head: bytes, half: bytes, rest: bytes, reset: bool
    ) -> None:
        gate = Gate("break")
        start = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + half
        async with raw_upstream(start, gate, rest, reset=reset) as url, forwarding(url) as driver:
            exchange = driver.start("POST", "/v1/chat/completions", body=b"{}")
            await exchange.received(b"half")
            gate.open()
            error = await exchange.ended()
        assert isinstance(error, UpstreamBroken)
        assert exchange.status == 200
        assert exchange.body == b'{"half": '
        assert not exchange.complete

    async def test_silence_in_the_middle_ends_incomplete(self, upstream: ScriptedUpstream) -> None:
        upstream.enqueue(Reply((b"some", Act.HANG)))
        async with forwarding(upstream.base_url, timeout_s=0.1) as driver:
            exchange = driver.start("GET", "/v1/x")
            error = await exchange.ended()
            await upstream.requests[0].disconnected.passed()
        assert isinstance(error, UpstreamBroken)
        assert exchange.body == b"some"
        assert not exchange.complete

    async def test_an_upstream_that_keeps_talking_has_no_total_limit(
        self, upstream: ScriptedUpstream
    ) -> None:
        steps = [step for _ in range(12) for step in (b".", Gate())]
        upstream.enqueue(Reply(steps))
        async with forwarding(upstream.base_url, timeout_s=0.3) as driver:
            exchange = driver.start("GET", "/v1/x")
            for count, gate in enumerate(steps[1::2], start=1):
                await exchange.received(b"." * count)
                await asyncio.sleep(0.05)  # the upstream's pace
                gate.open()  # type: ignore[union-attr]
            assert await exchange.ended() is None
        assert exchange.body == b"." * 12

    @pytest.mark.parametrize(
        ("sent", "separator"),
        [(b'data: {"a": 1}\n\n', b""), (b'data: {"a": 1}\r\n\r\n', b""), (b'data: {"a', b"\n\n")],
    )
    async def test_a_broken_event_stream_says_so(
        self, upstream: ScriptedUpstream, sent: bytes, separator: bytes
    ) -> None:
        gate = Gate()
        upstream.enqueue(sse_reply(sent, gate, Act.CLOSE))
        async with forwarding(upstream.base_url) as driver:
            exchange = driver.start("POST", "/v1/chat/completions", body=b"{}")
            await exchange.received(sent)
            gate.open()
            error = await exchange.ended()
        assert isinstance(error, UpstreamBroken)
        assert not exchange.complete
        assert exchange.body.startswith(sent + separator + b"data: {")
        assert exchange.body.endswith(b"}\n\n")
        frame = json.loads(exchange.body[len(sent + separator) + 6 :])
        assert frame["error"]["code"] == "upstream_broken"

    async def test_a_compressed_event_stream_gets_no_plain_text(
        self, upstream: ScriptedUpstream
    ) -> None:
        gate = Gate()
        headers = [("content-encoding", "gzip")]
        upstream.enqueue(sse_reply(b"\x1f\x8bxx", gate, Act.CLOSE, headers=headers))
        async with forwarding(upstream.base_url) as driver:
            exchange = driver.start("GET", "/v1/x")
            await exchange.received(b"\x1f\x8bxx")
            gate.open()
            assert isinstance(await exchange.ended(), UpstreamBroken)
        assert exchange.body == b"\x1f\x8bxx"

    async def test_a_real_client_sees_that_a_stream_broke_off(
        self, upstream: ScriptedUpstream
    ) -> None:
        upstream.enqueue(sse_reply({"choices": []}, Act.CLOSE))
        received = bytearray()

        async def read(client: httpx2.AsyncClient) -> None:
            async with client.stream("POST", "/v1/chat/completions") as response:
                async for data in response.aiter_raw():
                    received.extend(data)

        with serve(UpstreamApp(upstream.base_url)) as proxy:
            async with httpx2.AsyncClient(base_url=proxy.url) as client:
                with pytest.raises(httpx2.RemoteProtocolError):
                    await read(client)
                recovered = await client.get("/v1/models")
        assert b"upstream_broken" in received
        assert recovered.status_code == 200

    async def test_the_next_request_after_failures_works(self, upstream: ScriptedUpstream) -> None:
        upstream.enqueue(Reply((b"x", Act.CLOSE)), error_reply(500))
        async with forwarding(upstream.base_url) as driver:
            await driver.start("GET", "/v1/x").ended()
            assert (await driver.request("GET", "/v1/x")).status == 500
            assert (await driver.chat("hello")).status == 200

    @pytest.mark.parametrize(
        "base_url",
        ["", "localhost:8000", "ftp://h/v1", "http:///v1", "http://u:p@h/v1", "http://h/v1?a=b"],
    )
    def test_a_base_url_that_cannot_work_is_refused(self, base_url: str) -> None:
        from kindcache.cache.errors import StartupError

        with pytest.raises(StartupError, match="base_url") as caught:
            UpstreamApp(base_url)
        assert "u:p" not in str(caught.value)


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
            async def tee(message: dict[str, Any]) -> None:
                await send(message)
                if message["type"] == "http.response.body" and not message["more_body"]:
                    await asyncio.sleep(0.01)  # work after the end
                    finished.append(message["body"])

            await app(scope, receive, tee)

        exchange = await AsgiDriver(middleware).chat("hello")
        await app.aclose()
        assert exchange.status == 200
        assert len(finished) == 1


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
