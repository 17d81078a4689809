"""A restart is warm, whichever store keeps the answers."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_after_a_restart_exact_and_semantic_hits_are_there(
    store: str, upstream: ScriptedUpstream, tmp_path: Path, redis_url: str
) -> None:
    url = {"sqlite": f"sqlite:///{tmp_path}/kc.db", "redis": redis_url}[store]
    config = {"store": {"url": url, "namespace": f"restart-{uuid4().hex}"}}
    async with AsgiDriver(proxied(upstream.base_url, config)) as driver:
        await driver.chat("What is the capital city of France?", headers=KEY)
    app = proxied(upstream.base_url, config)
    async with AsgiDriver(app) as driver:
        await app.service.lifecycle.load()
        exact = await driver.chat("What is the capital city of France?", headers=KEY)
        semantic = await driver.chat("What is the capital city of France", headers=KEY)
    assert exact.header("x-cache-tier") == "exact"
    assert semantic.header("x-cache-tier") == "semantic"
    assert upstream.count == 1


async def test_the_secret_is_kept_beside_the_embedded_store(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    config = {"store": {"url": f"sqlite:///{tmp_path}/kc.db"}}
    for expected in ("MISS", "HIT"):
        async with AsgiDriver(proxied(upstream.base_url, config, environ={"X": ""})) as driver:
            exchange = await driver.chat("Hello", headers=KEY)
        assert exchange.header("x-cache") == expected
    secret = tmp_path / "kc.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    secret.unlink()
    async with AsgiDriver(proxied(upstream.base_url, config, environ={"X": ""})) as driver:
        assert (await driver.chat("Hello", headers=KEY)).header("x-cache") == "MISS"


async def test_a_damaged_payload_is_counted_dropped_and_a_miss(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    import sqlite3

    config = {"store": {"url": f"sqlite:///{tmp_path}/kc.db"}}
    async with AsgiDriver(proxied(upstream.base_url, config)) as driver:
        await driver.chat("Hello", headers=KEY)
    with sqlite3.connect(tmp_path / "kc.db") as database:
        changed = database.execute("UPDATE payloads SET payload = x'07ff'").rowcount
    database.close()
    assert changed == 1
    app = proxied(upstream.base_url, config)
    async with AsgiDriver(app) as driver:
        miss = await driver.chat("Hello", headers=KEY)
        metrics = app.service.metrics.exposition().decode()
        hit = await driver.chat("Hello", headers=KEY)
    assert miss.header("x-cache-reason") == "payload_corrupt"
    # Twice where the index was loaded between the exact and the semantic look.
    assert 'kindcache_failures_total{error="CorruptRecord",stage="store.decode"}' in metrics
    assert hit.header("x-cache") == "HIT"


async def test_a_shared_store_needs_an_explicit_secret(
    upstream: ScriptedUpstream, redis_url: str
) -> None:
    app = proxied(upstream.base_url, {"store": {"url": redis_url}}, environ={"X": ""})
    with pytest.raises(Exception, match="set KINDCACHE_SECRET"):
        await app.open()
