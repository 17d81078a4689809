"""An encrypted store behind a whole cache: rotation, lost keys, and no start without keys."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.registry import make_store
from kindcache.cache.errors import StartupError
from kindcache.config.settings import Settings
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, SECRET, proxied

pytestmark = pytest.mark.anyio

OLD, NEW = "01" * 32, "02" * 32
ADMIN = {"authorization": "Bearer root-token"}


def config(folder: Path, *, sealed: bool = True) -> dict[str, Any]:
    named = {"encryption_env": "KEYS"} if sealed else {}
    return {"store": {"url": f"sqlite:///{folder}/kc.db"} | named}


def cache(upstream: ScriptedUpstream, folder: Path, keys: str, *, sealed: bool = True) -> Any:
    environ = SECRET | {"KEYS": keys, "KINDCACHE_ADMIN_TOKEN": "root-token"}
    return proxied(upstream.base_url, config(folder, sealed=sealed), environ=environ)


def rows(folder: Path) -> int:
    with sqlite3.connect(folder / "kc.db") as reading:
        return int(reading.execute("SELECT count(*) FROM entries").fetchone()[0])


async def results(driver: AsgiDriver, *prompts: str) -> list[str | None]:
    return [(await driver.chat(prompt, headers=KEY)).header("x-cache") for prompt in prompts]


async def test_a_restart_with_rotated_keys_is_warm(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    async with AsgiDriver(cache(upstream, tmp_path, OLD)) as driver:
        assert await results(driver, "first") == ["MISS"]
    async with AsgiDriver(cache(upstream, tmp_path, f"{NEW},{OLD}")) as driver:
        assert await results(driver, "first", "second") == ["HIT", "MISS"]
    async with AsgiDriver(cache(upstream, tmp_path, NEW)) as driver:
        await driver.app.service.lifecycle.load()
        assert len(driver.app.service.engine.memory.table) == 1  # found by meaning too
        assert await results(driver, "second") == ["HIT"]


async def test_a_lost_key_costs_misses_that_are_counted_and_dropped(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    async with AsgiDriver(cache(upstream, tmp_path, OLD)) as driver:
        await results(driver, "first", "never asked again")
    async with AsgiDriver(cache(upstream, tmp_path, NEW)) as driver:
        lost = await driver.chat("first", headers=KEY)
        assert (lost.status, lost.header("x-cache")) == (200, "MISS")
        assert lost.header("x-cache-reason") == "payload_corrupt"
        assert await results(driver, "first") == ["HIT"]  # in its place
        await driver.app.service.engine.memory.writer.drain()
        assert rows(tmp_path) == 2
        everything = {"all": True}
        await driver.request("POST", "/_cache/purge", json=everything, headers=ADMIN)
        assert rows(tmp_path) == 0


async def test_what_was_stored_in_the_clear_is_not_served(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    async with AsgiDriver(cache(upstream, tmp_path, "", sealed=False)) as driver:
        await results(driver, "first")
    async with AsgiDriver(cache(upstream, tmp_path, OLD)) as driver:
        assert await results(driver, "first", "first") == ["MISS", "HIT"]


def test_nothing_starts_without_its_keys(tmp_path: Path) -> None:
    settings = Settings.model_validate(config(tmp_path))
    with pytest.raises(StartupError, match="names KEYS, which is not set"):
        make_store(settings.store, environ={})
