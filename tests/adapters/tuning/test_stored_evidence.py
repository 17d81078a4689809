"""What a running cache has learnt is read beside it, and nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from kindcache.adapters.registry import make_store
from kindcache.adapters.tuning.stored_evidence import counts, kept
from kindcache.cache.errors import StoreError
from kindcache.cache.learning.fact import DAY_S, Fact, Sent, encode
from kindcache.cache.learning.ledger import NAME
from kindcache.cache.ports import Store
from kindcache.config.load import loads
from kindcache.config.settings import Settings
from kindcache.policies.calibration import cell_of
from kindcache.policies.observation import Observation, Source
from tests.conftest import RedisServer

pytestmark = pytest.mark.anyio

NOW_S = 1_790_000_000.0
TODAY = int(NOW_S // DAY_S)
RIGHT = cell_of(Observation("code", 0.9, correct=True, source=Source.SHADOW, served=False), 0.5)


def settings(url: str) -> Settings:
    space = f"tune-{uuid4().hex}"
    return loads(
        f'store: {{url: "{url}", namespace: {space}}}\nevidence: {{window: 10d}}\n'
        "categories: {code: {ttl: 1d}}\n",
        "test",
    )


@asynccontextmanager
async def in_use(of: Settings) -> AsyncIterator[Store]:
    store = make_store(of.store)
    await store.open()
    try:
        yield store
    finally:
        await store.aclose()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_counters_are_read_while_a_cache_uses_the_store(
    kind: str, tmp_path: Path, redis_url: str
) -> None:
    of = settings({"sqlite": f"sqlite:///{tmp_path}/kc.db", "redis": redis_url}[kind])
    async with in_use(of) as store:
        assert await counts(of.store) == {}
        await store.count(NAME, {"a": 3})
        assert await counts(of.store) == {"a": 3}
        await store.count(NAME, {"a": 1, "b": 1})
        assert await counts(of.store) == {"a": 4, "b": 1}
    assert await counts(of.store) == {"a": 4, "b": 1}


async def test_a_file_is_read_without_a_change(tmp_path: Path) -> None:
    of = settings(f"sqlite:///{tmp_path}/kc.db")
    async with in_use(of) as store:
        await store.count(NAME, {"a": 3})
        before = contents(tmp_path)
        await counts(of.store)
        assert contents(tmp_path) == before


def contents(folder: Path) -> dict[str, bytes]:
    """All that lies in ``folder``, but for the table of who reads what in the log."""
    files = {path.name: path for path in folder.iterdir()}
    return {name: path.read_bytes() for name, path in files.items() if not name.endswith("-shm")}


async def test_a_file_of_an_older_program_has_no_evidence(tmp_path: Path) -> None:
    import sqlite3

    of = settings(f"sqlite:///{tmp_path}/kc.db")
    async with in_use(of):
        pass
    with sqlite3.connect(tmp_path / "kc.db") as database:
        database.execute("DROP TABLE counters")
    database.close()
    assert await counts(of.store) == {}


async def test_a_store_that_cannot_be_read_is_named(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with pytest.raises(StoreError, match="gone with its process"):
        await counts(settings("memory://").store)
    with pytest.raises(StoreError, match=r"none\.db: no such file"):
        await counts(settings(f"sqlite:///{tmp_path}/none.db").store)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("no database at all, whatever its name says")
    with pytest.raises(StoreError, match=r"text\.db"):
        await counts(settings(f"sqlite:///{tmp_path}/text.db").store)
    of = settings(redis_server.url)
    redis_server.kill()
    with pytest.raises(StoreError, match="redis"):
        await counts(of.store)


def test_only_evidence_of_this_scorer_and_this_window_counts() -> None:
    counters = {
        encode("mine", Fact(TODAY, "code", RIGHT)): 5,
        encode("mine", Fact(TODAY - 9, "code", RIGHT)): 2,
        encode("mine", Fact(TODAY - 11, "code", RIGHT)): 100,
        encode("mine", Fact(TODAY, "code", Sent(30))): 100,
        encode("mine", Fact(TODAY, "gone", RIGHT)): 100,
        encode("other", Fact(TODAY, "code", RIGHT)): 7,
        encode("other", Fact(TODAY, "code", Sent(30))): 100,
        "sent|20500|abc": 3,
        "no counter of ours": 1,
    }
    found = kept(counters, "mine", settings("memory://"), NOW_S)
    assert dict(found.tallies["code"].cells) == {RIGHT: 7}
    assert not found.tallies["default"].cells
    assert found.of_others == 7
