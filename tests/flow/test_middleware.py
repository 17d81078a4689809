"""The middleware in the apps of other people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from kindcache.adapters.middleware import KindcacheMiddleware
from kindcache.cache.errors import StartupError
from tests.drivers import AsgiDriver
from tests.drivers.cached import KEY, cached

pytestmark = pytest.mark.anyio

Write = Callable[[str], None]

CONFIG = """
store: {url: "memory://"}
embedder: {runtime: hashing}
"""


class Model:
    """A Starlette app with a chat endpoint that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def chat(self, request: Request) -> JSONResponse:
        self.calls += 1
        asked = (await request.json())["messages"][-1]["content"]
        message = {"role": "assistant", "content": asked.upper()}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return JSONResponse(answer | {"id": "x"})

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self.chat, methods=["POST"])])


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    path = tmp_path / "policies.yaml"
    path.write_text(CONFIG)

    def write(text: str) -> None:
        path.write_text(text)

    monkeypatch.setenv("KINDCACHE_CONFIG", str(path))
    return write


async def test_added_to_starlette_without_arguments(config_file: Write) -> None:
    model = Model()
    app = model.app()
    app.add_middleware(KindcacheMiddleware)
    async with AsgiDriver(app) as driver:
        await driver.chat("hello", headers=KEY)
        hit = await driver.chat("hello", headers=KEY)
    assert hit.header("x-cache") == "HIT"
    assert hit.json()["choices"][0]["message"]["content"] == "HELLO"
    assert model.calls == 1


async def test_without_a_lifespan_it_starts_on_the_first_request(config_file: Write) -> None:
    model = Model()
    app = KindcacheMiddleware(model.app())
    driver = AsgiDriver(app)
    await driver.chat("hello", headers=KEY)
    hit = await driver.chat("hello", headers=KEY)
    await app.aclose()
    assert hit.header("x-cache") == "HIT"


async def test_a_configuration_that_cannot_work_stops_the_server_at_start(
    config_file: Write,
) -> None:
    config_file("categoires: {}")
    app = KindcacheMiddleware(Model().app())
    with pytest.raises(ValueError, match="categories"):
        async with AsgiDriver(app):
            pass


async def test_without_a_lifespan_such_a_configuration_lets_everything_pass(
    config_file: Write, caplog: pytest.LogCaptureFixture
) -> None:
    config_file("categoires: {}")
    driver = AsgiDriver(KindcacheMiddleware(Model().app()))
    for _ in range(2):
        exchange = await driver.chat("hello", headers=KEY)
        assert exchange.status == 200
        assert exchange.header("x-cache") is None
    assert len(caplog.records) == 1
    assert "categories" in caplog.text


async def test_one_variable_turns_it_into_a_pass_through(
    config_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINDCACHE_DISABLED", "1")
    config_file("not even: valid")
    async with AsgiDriver(KindcacheMiddleware(Model().app())) as driver:
        exchange = await driver.chat("hello", headers=KEY)
    assert exchange.header("x-cache") is None


async def test_a_fault_of_the_cache_is_survived_and_counted() -> None:
    app = cached(Model().app())
    async with AsgiDriver(app) as driver:
        service = await app.open()
        service.engine.policy = None  # type: ignore[assignment]
        exchange = await driver.chat("hello", headers=KEY)
        metrics = service.metrics.exposition().decode()
    assert exchange.status == 200
    assert exchange.header("x-cache-reason") == "internal"
    assert 'kindcache_failures_total{error="AttributeError",stage="lookup"} 1.0' in metrics


async def test_short_secrets_are_refused() -> None:
    app = cached(Model().app(), environ={"KINDCACHE_SECRET": "short"})
    with pytest.raises(StartupError, match="KINDCACHE_SECRET"):
        await app.open()


async def test_the_category_header_counts_only_from_trusted_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = {
        "trust": {"token_env": "T"},
        "categories": {"secret": {"cache": False}, "open": {"ttl": "1h"}},
    }
    environ = {"T": "trusted-token", "KINDCACHE_SECRET": "x" * 32}
    named = KEY | {"x-cache-category": "secret"}
    async with AsgiDriver(cached(Model().app(), config, environ=environ)) as driver:
        stranger = await driver.chat("hello", headers=named)
        trusted = await driver.chat("hello", headers=named | {"x-cache-token": "trusted-token"})
    assert stranger.header("x-cache") == "MISS"
    assert trusted.header("x-cache") == "BYPASS"


async def test_an_answer_that_forbids_keeping_is_not_kept() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}}
        body = json.dumps({"choices": [choice | {"finish_reason": "stop"}], "model": "m"}).encode()
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    driver = AsgiDriver(wrapped := cached(app))
    for _ in range(2):
        assert (await driver.chat("hello", headers=KEY)).header("x-cache") == "MISS"
    await wrapped.aclose()


async def test_the_status_of_an_upstream_cache_is_kept_in_front_of_ours() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", b"text/plain"), (b"cache-status", b"far; hit")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    driver = AsgiDriver(wrapped := cached(app))
    exchange = await driver.chat("hello", headers=KEY)
    await wrapped.aclose()
    statuses = [value for name, value in exchange.raw_headers if name == b"cache-status"]
    assert statuses[0] == b"far; hit"
    assert statuses[1].startswith(b"kindcache; fwd=miss")


async def test_an_application_is_told_of_what_a_start_waits_for_or_lacks(
    config_file: Write, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kindcache.cache.scorers.shipped.is_here", lambda: False)
    config_file(CONFIG)
    app = KindcacheMiddleware(Model().app())
    async with AsgiDriver(app) as driver:
        assert (await driver.chat("hello", headers=KEY)).header("x-cache") == "MISS"
    assert "the pair scorer's weights are not here" in caplog.text
