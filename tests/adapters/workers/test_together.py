"""What a worker answers for all, and what it takes over from who was there before."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kindcache.adapters.build import Service, build
from kindcache.adapters.middleware import KindcacheMiddleware
from kindcache.adapters.workers.door import ask
from kindcache.adapters.workers.place import Place, mark_reload, reload_mark
from kindcache.adapters.workers.together import Together
from kindcache.config.load import loads
from kindcache.config.problems import ConfigError
from kindcache.config.settings import Settings
from tests.drivers import AsgiDriver
from tests.drivers.cached import KEY, SECRET

pytestmark = pytest.mark.anyio

CONFIG = {
    "store": {"url": "memory://"},
    "embedder": {"runtime": "hashing"},
    "judge": {"scorer": "none"},
}


async def answer(_: Request) -> Response:
    message = {"role": "assistant", "content": "hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    value = {"id": "x", "object": "chat.completion", "model": "m", "created": 1}
    return JSONResponse(value | {"choices": [choice]})


class Worker:
    """One of two, in this process."""

    def __init__(self, number: int, folder: Path) -> None:
        self.reads = 0
        self.refuses = False
        self.place = Place(number, 2, str(folder), (), 0)
        self.together = Together(self.place, reload_mark(folder))

    def _source(self) -> Settings:
        self.reads += 1
        if self.refuses:
            raise ConfigError(["wrong"])
        return loads(yaml.safe_dump(CONFIG), "test.yaml")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsgiDriver]:
        def make(settings: Settings, inner: object, upstream: str) -> Service:
            return build(settings, inner, upstream=upstream, environ=SECRET)  # type: ignore[arg-type]

        app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
        settings = loads(yaml.safe_dump(CONFIG), "test.yaml")
        cached = KindcacheMiddleware(
            app, settings, build=make, source=self._source, together=self.together
        )
        async with AsgiDriver(cached) as driver:
            yield driver

    async def count(self, name: str) -> float:
        lines = (await self.together.metrics()).decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


async def test_what_a_worker_counted_is_not_lost_with_it(tmp_path: Path) -> None:
    requests = "kindcache_requests_total"
    other = Worker(1, tmp_path)
    async with other.running() as asked:
        await asked.chat("one", headers=KEY)
        worker = Worker(0, tmp_path)
        async with worker.running() as driver:
            await driver.chat("two", headers=KEY)
            assert await worker.count(requests) == await other.count(requests) == 2
            assert await other.count('kindcache_workers{state="answered"}') == 2
        assert await other.count('kindcache_workers{state="silent"}') == 1
        assert await other.count(requests) == 2  # as it told them last
        worker = Worker(0, tmp_path)
        async with worker.running() as driver:
            await driver.chat("three", headers=KEY)
            assert await worker.count(requests) == await other.count(requests) == 3
        assert await other.count("kindcache_requests_total") == 3


async def test_a_reload_while_a_worker_starts_is_made_up_for(tmp_path: Path) -> None:
    worker = Worker(0, tmp_path)  # has read the settings
    mark_reload(tmp_path)
    async with worker.running():
        assert worker.reads == 1
    worker = Worker(0, tmp_path)
    async with worker.running():
        assert worker.reads == 0


async def test_a_reload_of_all_says_what_came_of_it_in_each(tmp_path: Path) -> None:
    first, second = Worker(0, tmp_path), Worker(1, tmp_path)
    async with first.running():
        assert await first.together.reload_others() == {"1": {"status": "no answer"}}
        async with second.running():
            told = await first.together.reload_others()
            assert told == {"1": {"status": "reloaded", "needs_restart": []}}
            second.refuses = True
            told = await first.together.reload_others()
            assert told["1"]["status"] == "refused"
            assert "wrong" in told["1"]["problems"][0]


async def test_what_goes_wrong_while_a_worker_is_asked_is_no_answer_and_counted(
    tmp_path: Path,
) -> None:
    worker = Worker(1, tmp_path)
    async with worker.running() as driver:
        engine = driver.app.service.engine
        await engine.store.aclose()  # so that its log cannot be read
        assert await ask(worker.place.door(1), "level", 5) is None
        assert json.loads(await ask(worker.place.door(1), "figures", 5) or b"")["status"]
        assert (
            await worker.count('kindcache_failures_total{error="StoreError",stage="workers"') == 1
        )
