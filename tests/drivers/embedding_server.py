"""A real HTTP server that answers ``/v1/embeddings`` with hashed vectors, or as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from kindcache.cache.embedders.hashing import HashingEncoder

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class EmbeddingServer:
    """Listens on a free port of 127.0.0.1. ``answer`` may be replaced by a test's handler."""

    def __init__(self, dim: int = 64) -> None:
        self.encoder = HashingEncoder(dim, window=100_000)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Semaphore(0)
        self.answer: Handler | None = None
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/embeddings", self._embeddings)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        self.entered.release()
        await self.gate.wait()
        if self.answer is not None:
            return await self.answer(request)
        vectors = self.encoder.encode(self.requests[-1]["input"]).vectors
        return web.json_response(
            {
                "object": "list",
                "model": "hashed",
                # Not normalised and in reverse order: both are allowed.
                "data": [
                    {
                        "object": "embedding",
                        "index": index,
                        "embedding": [3.0 * float(x) for x in row],
                    }
                    for index, row in reversed(list(enumerate(vectors)))
                ],
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }
        )
