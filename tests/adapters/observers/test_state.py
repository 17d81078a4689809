"""What a process says of itself, as a scraper reads it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import RedisServer
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio


def figure(app: Any, sample: str) -> float:
    text = app.service.metrics.exposition().decode()
    (found,) = re.findall(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(found)


async def test_a_process_tells_its_room_tasks_memory_and_files(
    upstream: ScriptedUpstream,
) -> None:
    app = proxied(upstream.base_url, {"capacity": {"entries": 77}})
    async with AsgiDriver(app) as driver:
        await driver.chat("Hello", headers=KEY)
        assert figure(app, "kindcache_capacity_entries") == 77
        assert figure(app, "kindcache_store_reached") == 1
        assert figure(app, "kindcache_embedder_ready") == 1
        assert figure(app, "kindcache_tasks") >= 2
        assert figure(app, "process_resident_memory_bytes") > 1e6
        assert figure(app, "process_open_fds") >= 3


async def test_a_store_that_dies_opens_the_breaker_of_reads(
    upstream: ScriptedUpstream, redis_server: RedisServer
) -> None:
    config = {"store": {"url": redis_server.url, "hot_payloads": 1, "read_deadline": "200ms"}}
    app = proxied(upstream.base_url, config)
    sample = 'kindcache_breaker_open{side="reads"}'
    async with AsgiDriver(app) as driver:
        await driver.chat("Hello", headers=KEY)
        assert figure(app, sample) == 0
        redis_server.kill()
        for number in range(6):
            await driver.chat(f"Question {number}", headers=KEY)
        assert figure(app, sample) == 1
        assert figure(app, "kindcache_store_reached") == 1
