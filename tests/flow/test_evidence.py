"""What is learnt about hits: kept over a restart, shared, shown, and acted upon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from kindcache.adapters.build import Service
from kindcache.policies.observation import Observation, Source
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, SECRET, proxied

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer root-token"}
ENVIRON = SECRET | {"KINDCACHE_ADMIN_TOKEN": "root-token"}
ASKED = "What is the capital city of France?"
AGAIN = "What is the capital city of France"


def settings(url: str) -> dict[str, Any]:
    return {
        "store": {"url": url, "namespace": f"evidence-{uuid4().hex}"},
        "defaults": {"similarity_threshold": 0.8, "max_error_rate": "2%"},
    }


def learn(service: Service, right: int, wrong: int) -> None:
    for correct, times in ((True, right), (False, wrong)):
        for _ in range(times):
            observation = Observation("default", 0.95, correct, Source.CHECK, served=True)
            service.engine.evidence.note(observation)


async def known(service: Service) -> Any:
    await service.engine.evidence.keep()
    return service.engine.evidence.summary()["default"]["observations"]


@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_a_restart_keeps_the_evidence(
    store: str, upstream: ScriptedUpstream, tmp_path: Path, redis_url: str
) -> None:
    url = {"sqlite": f"sqlite:///{tmp_path}/kc.db", "redis": redis_url}[store]
    config = settings(url)
    app = proxied(upstream.base_url, config)
    async with AsgiDriver(app):
        learn(app.service, right=7, wrong=1)
    for _ in range(2):
        app = proxied(upstream.base_url, config)
        async with AsgiDriver(app):
            assert await known(app.service) == {"check": {"right": 7, "wrong": 1}}


@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_two_processes_add_up(
    store: str, upstream: ScriptedUpstream, tmp_path: Path, redis_url: str
) -> None:
    url = {"sqlite": f"sqlite:///{tmp_path}/kc.db", "redis": redis_url}[store]
    config = settings(url)
    one, two = proxied(upstream.base_url, config), proxied(upstream.base_url, config)
    async with AsgiDriver(one), AsgiDriver(two):
        for app in (one, two):
            learn(app.service, right=3, wrong=1)
            await app.service.engine.evidence.flush()
    after = proxied(upstream.base_url, config)
    async with AsgiDriver(after):
        assert await known(after.service) == {"check": {"right": 6, "wrong": 2}}


async def test_wrong_hits_close_a_category_at_once(
    upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    app = proxied(upstream.base_url, settings("memory://"))
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        before = await driver.chat(AGAIN, headers=KEY)
        learn(app.service, right=0, wrong=3)
        after = await driver.chat(AGAIN, headers=KEY)
        exact = await driver.chat(ASKED, headers=KEY)
    (line,) = caplog.messages
    assert line.startswith("default: hits are wrong more often than max_error_rate")
    assert before.header("x-cache-tier") == "semantic"
    assert after.header("x-cache-reason") == "unsure"
    assert exact.header("x-cache-tier") == "exact"


async def test_stats_and_metrics_say_what_is_known(upstream: ScriptedUpstream) -> None:
    app = proxied(upstream.base_url, settings("memory://"), environ=ENVIRON)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        await driver.chat(AGAIN, headers=KEY)
        learn(app.service, right=9, wrong=1)
        stats = await driver.request("GET", "/_cache/stats", headers=ADMIN)
        calm = app.service.metrics.exposition().decode()
        learn(app.service, right=0, wrong=4)
        alarmed = app.service.metrics.exposition().decode()
    (figures,) = json.loads(stats.body)["evidence"].values()
    assert figures["hits"] == 1
    assert figures["observations"] == {"check": {"right": 9, "wrong": 1}}
    assert figures["precision"]["value"] == 0.9
    for line in (
        'kindcache_hits_verified_total{category="default",source="check",verdict="right"} 9.0',
        'kindcache_precision{category="default"} 0.9',
        'kindcache_bar{category="default"} 0.8',
        'kindcache_alarm{category="default"} 0.0',
    ):
        assert line in calm
    assert 'kindcache_precision_lower{category="default"} 0.59' in calm
    assert 'kindcache_precision_upper{category="default"} 0.98' in calm
    assert 'kindcache_bar{category="default"} 1.01' in alarmed
    assert 'kindcache_alarm{category="default"} 1.0' in alarmed
    assert 'kindcache_bar_moves_total{category="default",why="alarm"} 1.0' in alarmed
