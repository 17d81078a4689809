"""A store that dies costs hits, never an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conftest import RedisServer
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio


def config(url: str) -> dict[str, object]:
    return {"store": {"url": url, "hot_payloads": 1, "read_deadline": "200ms"}}


async def ask(driver: AsgiDriver, number: int) -> Any:
    return await driver.chat(f"Question {number}", headers=KEY)


async def until_hit(driver: AsgiDriver) -> None:
    async with asyncio.timeout(20):
        number = 1000
        while True:
            await ask(driver, number)
            if (await ask(driver, number)).header("x-cache") == "HIT":
                return
            number += 1
            await asyncio.sleep(0.05)


async def test_redis_killed_under_load_fails_no_request_and_hits_resume(
    upstream: ScriptedUpstream, redis_server: RedisServer
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, config(redis_server.url))) as driver:
        await until_hit(driver)
        statuses: list[int] = []

        async def load(first: int) -> None:
            for number in range(first, first + 40):
                exchange = await ask(driver, number % 25)
                statuses.append(exchange.status)

        tasks = [asyncio.create_task(load(first)) for first in range(0, 400, 50)]
        while len(statuses) < 40:
            await asyncio.sleep(0)
        redis_server.kill()
        await asyncio.gather(*tasks)
        assert statuses == [200] * 320
        redis_server.restart()
        await until_hit(driver)


async def test_a_store_that_is_away_at_start_does_not_stop_the_start(
    upstream: ScriptedUpstream, redis_server: RedisServer
) -> None:
    redis_server.kill()
    app = proxied(upstream.base_url, config(redis_server.url))
    async with AsgiDriver(app) as driver:
        aside = await ask(driver, 1)
        assert aside.status == 200
        assert aside.header("x-cache") == "BYPASS"
        assert app.service.lifecycle.health()["status"] == "degraded"
        redis_server.start()
        await until_hit(driver)
        assert app.service.lifecycle.health()["status"] == "ready"


async def test_a_store_that_hangs_is_a_miss_within_its_deadline(
    upstream: ScriptedUpstream, redis_server: RedisServer
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, config(redis_server.url))) as driver:
        await until_hit(driver)
        redis_server.pause()
        async with asyncio.timeout(5):
            exchange = await ask(driver, 1000)
        assert exchange.status == 200
        assert exchange.header("x-cache") == "MISS"
        redis_server.resume()
        await until_hit(driver)


async def test_a_lost_epoch_makes_the_cache_cold_not_wrong(
    upstream: ScriptedUpstream, redis_server: RedisServer
) -> None:
    app = proxied(upstream.base_url, config(redis_server.url))
    async with AsgiDriver(app) as driver:
        await until_hit(driver)
        before = app.service.engine.epoch
        redis_server.kill()
        redis_server.restart()
        await app.service.lifecycle.check_epoch()
        async with asyncio.timeout(10):
            while app.service.engine.epoch == before:
                await asyncio.sleep(0.05)
                await app.service.lifecycle.check_epoch()
        assert len(app.service.engine.memory.table) == 0
