"""Bad requests and bad upstreams: the client gets what it would get without the cache, or a clear
error in the dialect's shape; nothing is stored, nothing hangs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.drivers import Act, AsgiDriver, Reply, ScriptedUpstream, Seen, chat_reply
from tests.drivers.cached import KEY, proxied
from tests.drivers.raw import raw_upstream

pytestmark = pytest.mark.anyio

GOOD = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"model": "m"}',
        b'{"model": "m", "messages": []}',
        b'{"model": "m", "messages": "hello"}',
        b'{"model": "m", "messages": [1]}',
        b'{"model": 3, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "m", "model": "n", "messages": [{"role": "user", "content": "x"}]}',
        b"[" * 100_000,
        json.dumps(GOOD).encode("utf-16"),
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_what_is_not_understood_is_forwarded_as_it_came(
    upstream: ScriptedUpstream, body: Any
) -> None:
    upstream.script = lambda seen: Reply((b"yours",), status=422)
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        exchange = await driver.request("POST", "/v1/chat/completions", body=body, headers=KEY)
        assert len(app.service.engine.memory.table) == 0
    assert (exchange.status, exchange.body) == (422, b"yours")
    assert exchange.header("x-cache-reason") == "malformed"
    assert upstream.requests[0].body == body


async def test_a_body_of_20_mb_passes_through(upstream: ScriptedUpstream) -> None:
    upstream.script = lambda seen: Reply((str(len(seen.body)).encode(),))
    body = json.dumps(GOOD | {"padding": "x" * (20 << 20)}).encode()
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        exchange = await driver.request("POST", "/v1/chat/completions", body=body, headers=KEY)
    assert exchange.body == str(len(body)).encode()
    assert exchange.header("x-cache-reason") == "too_large"


async def test_an_answer_too_large_to_keep_passes_through(upstream: ScriptedUpstream) -> None:
    upstream.script = lambda seen: chat_reply(seen, "x" * 200_000)
    app = proxied(upstream.base_url, {"http": {"max_answer": "100KB"}})
    async with AsgiDriver(app) as driver:
        for stream in (True, False):
            exchange = await driver.chat("Hi", headers=KEY, stream=stream)
            assert b"x" * 200_000 in exchange.body
        assert len(app.service.engine.memory.table) == 0


async def test_an_upstream_that_is_down_is_a_502_in_openai_shape() -> None:
    async with AsgiDriver(proxied("http://127.0.0.1:9/v1")) as driver:
        exchange = await driver.chat("Hi", headers=KEY)
    assert exchange.status == 502
    assert exchange.json()["error"]["code"] == "upstream_unreachable"


async def test_garbage_in_place_of_http_is_a_502() -> None:
    async with (
        raw_upstream(b"SSH-2.0-OpenSSH_9.2\r\n") as url,
        AsgiDriver(proxied(f"{url}/v1")) as driver,
    ):
        exchange = await driver.chat("Hi", headers=KEY)
    assert exchange.status == 502
    assert "error" in exchange.json()


async def test_a_whole_answer_cut_short_never_looks_whole(upstream: ScriptedUpstream) -> None:
    def cut(seen: Seen) -> Any:
        whole = chat_reply(seen, "a long answer")
        body = whole.steps[0]
        assert isinstance(body, bytes)
        return Reply((body[:40], Act.CLOSE), headers=whole.headers)

    upstream.script = cut
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        messages = [{"role": "user", "content": "Hi"}]
        exchange = driver.start(
            "POST", "/v1/chat/completions", json={"model": "m", "messages": messages}, headers=KEY
        )
        error = await exchange.ended()
        assert len(app.service.engine.memory.table) == 0
    assert error is not None
    assert not exchange.complete


async def test_compressed_requests_pass_through(upstream: ScriptedUpstream) -> None:
    headers = KEY | {"content-encoding": "gzip"}
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        upstream.script = lambda seen: Reply((seen.body,))
        exchange = await driver.request(
            "POST", "/v1/chat/completions", body=b"\x1f\x8b", headers=headers
        )
    assert exchange.body == b"\x1f\x8b"
    assert exchange.header("x-cache") == "BYPASS"


async def test_the_upstream_is_asked_for_an_answer_that_can_be_read(
    upstream: ScriptedUpstream,
) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat("Hi", headers=KEY | {"accept-encoding": "gzip, br"})
    assert upstream.requests[0].header("accept-encoding") == "identity"


async def test_a_client_that_leaves_while_sending_its_body_leaves_nothing(
    upstream: ScriptedUpstream,
) -> None:
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        exchange = driver.start("POST", "/v1/chat/completions", body=None, headers=KEY)
        exchange.feed(b'{"model": ')
        exchange.disconnect()
        await exchange.ended()
        assert len(app.service.engine.flights) == 0
