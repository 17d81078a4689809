"""The admin surface and the probes of the proxy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.proxy import Proxy
from kindcache.adapters.upstream.app import UpstreamApp
from kindcache.config.load import loads
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, SECRET, proxied

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer root-token"}
ENVIRON = SECRET | {"KINDCACHE_ADMIN_TOKEN": "root-token"}


async def test_without_a_token_the_admin_paths_belong_to_the_app(
    upstream: ScriptedUpstream,
) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        exchange = await driver.request("GET", "/_cache/stats", headers=ADMIN)
    assert exchange.status == 404
    assert upstream.count == 1


async def test_only_the_token_opens_it(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url, environ=ENVIRON)) as driver:
        refused = await driver.request("GET", "/_cache/stats", headers=KEY)
        stats = await driver.request("GET", "/_cache/stats", headers=ADMIN)
        unknown = await driver.request("GET", "/_cache/other", headers=ADMIN)
    assert refused.status == 401
    assert stats.json()["status"] == "ready"
    assert unknown.status == 404
    assert upstream.count == 0


async def test_an_entry_is_removed_by_the_id_that_its_hits_carry(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    config = {"store": {"url": f"sqlite:///{tmp_path}/kc.db"}}
    async with AsgiDriver(proxied(upstream.base_url, config, environ=ENVIRON)) as driver:
        entry = (await driver.chat("Hello", headers=KEY)).header("x-cache-entry")
        removed = await driver.request("DELETE", f"/_cache/entries/{entry}", headers=ADMIN)
        after = await driver.chat("Hello", headers=KEY)
        bad = await driver.request("DELETE", "/_cache/entries/xyz", headers=ADMIN)
    assert removed.json() == {"removed": 1}
    assert after.header("x-cache") == "MISS"
    assert bad.status == 400


async def test_caches_that_hold_the_same_have_the_same_digest(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    config = {"store": {"url": f"sqlite:///{tmp_path}/kc.db"}}
    digests = []
    async with AsgiDriver(proxied(upstream.base_url, config, environ=ENVIRON)) as driver:
        for prompt in ("Hello", "Another one"):
            await driver.chat(prompt, headers=KEY)
            told = await driver.request("GET", "/_cache/digest", headers=ADMIN)
            digests.append(told.json())
        await driver.app.service.engine.memory.writer.drain()
    async with AsgiDriver(proxied(upstream.base_url, config, environ=ENVIRON)) as again:
        while not again.app.service.lifecycle.loaded:
            await asyncio.sleep(0.005)
        digests.append((await again.request("GET", "/_cache/digest", headers=ADMIN)).json())
    assert [one["entries"] for one in digests] == [1, 2, 2]
    assert digests[0]["digest"] != digests[1]["digest"]
    assert digests[1] == digests[2]


@pytest.mark.parametrize(
    ("body", "left"),
    [({"all": True}, 0), ({"category": "greeting"}, 1), ({"category": "nothing"}, 2)],
)
async def test_a_purge_reaches_the_store(
    upstream: ScriptedUpstream, tmp_path: Path, body: Any, left: int
) -> None:
    config = {
        "store": {"url": f"sqlite:///{tmp_path}/kc.db"},
        "categories": {"greeting": {"match": {"pattern": "Hello"}}},
    }
    async with AsgiDriver(proxied(upstream.base_url, config, environ=ENVIRON)) as driver:
        await driver.chat("Hello", headers=KEY)
        await driver.chat("What time is it?", headers=KEY)
        purged = await driver.request("POST", "/_cache/purge", json=body, headers=ADMIN)
    assert purged.json() == {"removed": 2 - left}
    app = proxied(upstream.base_url, config, environ=ENVIRON)
    async with AsgiDriver(app):
        await app.service.lifecycle.load()
        assert len(app.service.engine.memory.table) == left


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"category": 3}', b'{"all": "yes"}'])
async def test_a_purge_that_does_not_say_what_removes_nothing(
    upstream: ScriptedUpstream, body: Any
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, environ=ENVIRON)) as driver:
        exchange = await driver.request("POST", "/_cache/purge", body=body, headers=ADMIN)
    assert exchange.status == 400


async def test_the_proxy_has_probes_of_its_own(upstream: ScriptedUpstream) -> None:
    settings = loads('store: {url: "memory://"}\nembedder: {runtime: hashing}', "t")
    proxy = Proxy(UpstreamApp(upstream.base_url), settings, upstream="u")
    early = AsgiDriver(proxy)
    assert (await early.request("GET", "/healthz")).status == 200
    assert (await early.request("GET", "/readyz")).status == 503
    async with AsgiDriver(proxy) as driver:
        ready = await driver.request("GET", "/readyz")
        await driver.chat("Hello", headers=KEY)
        metrics = await driver.request("GET", "/metrics")
    assert ready.json()["status"] == "ready"
    text = metrics.body.decode()
    assert 'kindcache_requests_total{category="default",reason="new",result="miss"} 1.0' in text
    assert 'kindcache_entries{category="default"} 1.0' in text
    assert 'kindcache_operation_duration_seconds_count{operation="embed"} 1.0' in text
    assert 'kindcache_upstream_responses_total{status="2xx"} 1.0' in text
