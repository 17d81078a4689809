from __future__ import annotations

import asyncio
import json
import socket
from contextlib import closing
from typing import Any

import httpx2
import pytest

from kindcache.adapters.upstream.app import UpstreamApp, UpstreamBroken
from tests.drivers import (
    Act,
    Gate,
    Reply,
    ScriptedUpstream,
    error_reply,
    json_reply,
    raw_upstream,
    serve,
    sse_reply,
)
from tests.drivers.forwarding import forwarding

pytestmark = pytest.mark.anyio
MB = 1 << 20
SECRET = "sk-very-secret"
PROMPT = "the patient's name is Ada"


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
