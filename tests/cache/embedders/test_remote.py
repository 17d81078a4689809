"""The client of an embedding server trusts nothing that it receives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from kindcache.cache.embedders.remote import RemoteEmbedder
from kindcache.cache.errors import EmbedderBusy, EmbedderError, EmbedderTimeout
from tests.drivers.embedding_server import EmbeddingServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    server = EmbeddingServer(dim=4)
    await server.start()
    yield server
    server.gate.set()
    await server.stop()


async def client(server: EmbeddingServer, **options: Any) -> RemoteEmbedder:
    embedder = RemoteEmbedder(
        server.url, "hashed", **{"dim": 4, "window": 100, "deadline_s": 10.0, **options}
    )
    await embedder.open()
    return embedder


def data(*vectors: Any) -> str:
    return json.dumps({"data": [{"index": n, "embedding": v} for n, v in enumerate(vectors)]})


async def test_it_speaks_the_protocol(server: EmbeddingServer) -> None:
    embedder = await client(server, api_key="sk-test")
    vector = await embedder.embed("a text")
    assert vector is not None
    assert server.requests == [{"model": "hashed", "input": ["a text"], "encoding_format": "float"}]
    assert server.keys == ["Bearer sk-test"]
    np.testing.assert_allclose(vector, server.encoder.encode(["a text"]).vectors[0], atol=1e-6)
    await embedder.aclose()


async def test_texts_that_wait_share_a_request_and_keep_their_vectors(
    server: EmbeddingServer,
) -> None:
    embedder = await client(server, connections=1, batch=3)
    server.gate.clear()
    texts = [f"text {n}" for n in range(5)]
    tasks = [asyncio.create_task(embedder.embed(text)) for text in texts]
    await server.entered.acquire()
    server.gate.set()
    vectors = await asyncio.gather(*tasks)
    assert sum(len(request["input"]) for request in server.requests) == 5
    assert max(len(request["input"]) for request in server.requests) == 3
    for vector, wanted in zip(vectors, server.encoder.encode(texts).vectors, strict=True):
        assert vector is not None
        np.testing.assert_allclose(vector, wanted, atol=1e-6)
    await embedder.aclose()


@pytest.mark.parametrize(
    "body",
    [
        "<html>not json</html>",
        "{}",
        '{"data": []}',
        data([1.0, 0.0, 0.0]),
        data([1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]),
        data([0.0, 0.0, 0.0, 0.0]),
        data([1.0, 0.0, 0.0, None]),
        '{"data": [{"index": 0, "embedding": [NaN, 0, 0, 0]}]}',
        '{"data": [{"index": 0, "embedding": [1e999, 0, 0, 0]}]}',
        '{"data": [{"index": 1, "embedding": [1, 0, 0, 0]}]}',
        data("AACAPwAAAAAAAAAAAAAAAA=="),
        data([1.0, 0.0, 0.0, 0.0])[:-3],
        '{"data": "' + "x" * 200_000 + '"}',
    ],
)
async def test_an_answer_that_is_not_one_good_vector_is_an_error(
    server: EmbeddingServer, body: str
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    server.answer = answer
    embedder = await client(server)
    with pytest.raises(EmbedderError) as caught:
        await embedder.embed("a secret text")
    assert "secret" not in str(caught.value)
    server.answer = None
    assert await embedder.embed("a secret text") is not None
    await embedder.aclose()


@pytest.mark.parametrize("status", [302, 400, 401, 404, 429, 500, 503])
async def test_a_status_that_is_not_200_is_an_error(server: EmbeddingServer, status: int) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    server.answer = answer
    embedder = await client(server)
    with pytest.raises(EmbedderError, match=str(status)):
        await embedder.embed("text")
    await embedder.aclose()


async def test_a_text_that_the_server_refuses_fails_alone(server: EmbeddingServer) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        texts = (await request.json())["input"]
        if "poison" in texts:
            return web.Response(status=400)
        return web.Response(text=data(*([1.0, 0.0, 0.0, 0.0] for _ in texts)))

    server.answer = answer
    server.gate.clear()
    embedder = await client(server, connections=1)
    first = asyncio.create_task(embedder.embed("first"))
    await server.entered.acquire()
    tasks = [asyncio.create_task(embedder.embed(text)) for text in ("good", "poison", "fine")]
    await asyncio.sleep(0)
    server.gate.set()
    await first
    good, bad, fine = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(good, np.ndarray)
    assert isinstance(fine, np.ndarray)
    assert isinstance(bad, EmbedderError)
    await embedder.aclose()


async def test_a_server_that_is_down_is_an_error_until_it_is_up(server: EmbeddingServer) -> None:
    await server.stop()
    embedder = await client(server)
    with pytest.raises(EmbedderError):
        await embedder.embed("text")
    await embedder.aclose()


async def test_a_server_that_hangs_is_a_timeout(server: EmbeddingServer) -> None:
    server.gate.clear()
    embedder = await client(server, deadline_s=0.05)
    with pytest.raises(EmbedderTimeout):
        await embedder.embed("text")
    await embedder.aclose()


async def test_past_the_queue_calls_are_refused(server: EmbeddingServer) -> None:
    server.gate.clear()
    embedder = await client(server, connections=1, queue=2)
    first = asyncio.create_task(embedder.embed("first"))
    await server.entered.acquire()
    waiting = [asyncio.create_task(embedder.embed(f"text {n}")) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(EmbedderBusy):
        await embedder.embed("one too many")
    server.gate.set()
    await asyncio.gather(first, *waiting)
    await embedder.aclose()


async def test_the_window_is_three_bytes_a_token(server: EmbeddingServer) -> None:
    embedder = await client(server, window=4)
    assert await embedder.embed("x" * 12) is not None
    assert await embedder.embed("x" * 13) is None
    assert await embedder.embed("é" * 7) is None
    assert len(server.requests) == 1
    await embedder.aclose()


async def test_the_identity_tells_servers_models_and_dimensions_apart() -> None:
    def identity(url: str, model: str, dim: int) -> str:
        return RemoteEmbedder(url, model, dim=dim, window=1).identity

    named = {
        identity("http://a/v1", "m", 4),
        identity("http://b/v1", "m", 4),
        identity("http://a/v1", "n", 4),
        identity("http://a/v1", "m", 5),
    }
    assert len(named) == 4
    assert identity("http://a/v1/", "m", 4) in named
