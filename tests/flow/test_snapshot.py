"""A restart from a snapshot: as warm as before, and the store is right wherever they differ."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindcache.adapters.middleware import KindcacheMiddleware
from kindcache.cache.errors import StoreError
from kindcache.cache.replication.filling import Filling
from kindcache.cache.snapshot import contents, keeping
from kindcache.cache.snapshot.following import Following
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, SECRET, proxied

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer root-token"}
ENVIRON = SECRET | {"KINDCACHE_ADMIN_TOKEN": "root-token", "KINDCACHE_KEYS": "0b" * 32}
BOB = {"authorization": "Bearer bob"}
FRANCE = "What is the capital city of France?"
SAME = "What is the capital city of France"


@pytest.fixture
def records_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often an index was made from the store's records."""
    reads: list[str] = []
    load = Filling.load

    async def counted(self: Filling) -> None:
        reads.append("load")
        await load(self)

    monkeypatch.setattr(Filling, "load", counted)
    return reads


class Place:
    """A store and a snapshot, and caches over them, one after the other."""

    def __init__(self, upstream: ScriptedUpstream, folder: Path, url: str, **extra: Any) -> None:
        self.upstream = upstream
        self.folder = folder / "snapshots"
        self.path = self.folder / "kc.snapshot"
        self.config: dict[str, Any] = {
            "store": {"url": url, "namespace": f"s{uuid.uuid4().hex}"},
            "snapshot": {"path": str(self.path)},
            "defaults": {"ttl": "1h", "similarity_threshold": 0.8},
        } | extra

    @asynccontextmanager
    async def cache(
        self, environ: Mapping[str, str] = ENVIRON, **extra: Any
    ) -> AsyncIterator[AsgiDriver]:
        app = proxied(self.upstream.base_url, self.config | extra, environ=environ)
        async with AsgiDriver(app) as driver:
            await loaded(app)
            yield driver

    def bytes(self) -> bytes:
        if not self.folder.exists():
            return b""
        return b"".join(file.read_bytes() for file in self.folder.iterdir())


async def loaded(app: KindcacheMiddleware) -> None:
    async with asyncio.timeout(10):
        while app.service is None or not app.service.lifecycle.loaded:
            await asyncio.sleep(0.005)


def failures(driver: AsgiDriver) -> list[str]:
    lines = driver.app.service.metrics.exposition().decode().splitlines()
    return [
        line for line in lines if line.startswith("kindcache_failures_total") and "snapshot" in line
    ]


@pytest.fixture
def place(upstream: ScriptedUpstream, tmp_path: Path) -> Place:
    return Place(upstream, tmp_path, f"sqlite:///{tmp_path}/kc.db")


@pytest.mark.parametrize("store", ["sqlite", "redis"])
@pytest.mark.parametrize("sealed", [False, True])
async def test_a_restart_reads_no_records(
    store: str,
    sealed: bool,
    upstream: ScriptedUpstream,
    tmp_path: Path,
    redis_url: str,
    records_read: list[str],
) -> None:
    url = {"sqlite": f"sqlite:///{tmp_path}/kc.db", "redis": redis_url}[store]
    place = Place(upstream, tmp_path, url)
    if sealed:
        place.config["store"]["encryption_env"] = "KINDCACHE_KEYS"
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
    assert place.path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in place.folder.iterdir()] == ["kc.snapshot"]
    assert (FRANCE.encode() in place.bytes()) is not sealed
    assert records_read == ["load"]
    async with place.cache() as driver:
        semantic = await driver.chat(SAME, headers=KEY)
        assert failures(driver) == []
        other = await driver.chat(SAME, headers=BOB)
    assert records_read == ["load"]
    assert semantic.header("x-cache-tier") == "semantic"
    assert other.header("x-cache") == "MISS"


async def test_what_was_done_without_it_is_followed(place: Place, records_read: list[str]) -> None:
    async with place.cache() as driver:
        entry = (await driver.chat(FRANCE, headers=KEY)).header("x-cache-entry")
        entry = (await driver.chat(FRANCE, headers=KEY)).header("x-cache-entry")
        await driver.chat("How tall is the Eiffel tower?", headers=KEY)
    kept = place.path.read_bytes()
    async with place.cache() as driver:
        await driver.request("DELETE", f"/_cache/entries/{entry}", headers=ADMIN)
        await driver.chat("Which river flows through Vienna?", headers=KEY)
    place.path.write_bytes(kept)  # as if the last one had not been taken
    async with place.cache() as driver:
        assert len(driver.app.service.engine.memory.table) == 2
        gone = await driver.chat(SAME, headers=KEY)
        new = await driver.chat("Which river flows through Vienna", headers=KEY)
        old = await driver.chat("How tall is the Eiffel tower", headers=KEY)
    assert gone.header("x-cache") == "MISS"
    assert new.header("x-cache-tier") == old.header("x-cache-tier") == "semantic"
    assert records_read == ["load"]


async def test_where_the_log_was_trimmed_the_list_of_records_decides(
    place: Place, tmp_path: Path
) -> None:
    async with place.cache() as driver:
        entry = (await driver.chat(FRANCE, headers=KEY)).header("x-cache-entry")
        entry = (await driver.chat(FRANCE, headers=KEY)).header("x-cache-entry")
        await driver.chat("How tall is the Eiffel tower?", headers=KEY)
    kept = place.path.read_bytes()
    async with place.cache() as driver:
        await driver.request("DELETE", f"/_cache/entries/{entry}", headers=ADMIN)
        await driver.chat("Which river flows through Vienna?", headers=KEY)
    place.path.write_bytes(kept)
    with sqlite3.connect(tmp_path / "kc.db") as database:
        database.execute("DELETE FROM changes")
    database.close()
    async with place.cache() as driver:
        assert failures(driver) == []
        prompts = {one.prompt for one in driver.app.service.engine.memory.table}
    assert prompts == {"How tall is the Eiffel tower?", "Which river flows through Vienna?"}


@pytest.mark.parametrize("how", ["emptied", "epoch", "embedder", "secret", "coding"])
async def test_one_of_another_world_is_not_used_and_that_is_said(
    how: str, place: Place, tmp_path: Path, records_read: list[str]
) -> None:
    environ, extra = ENVIRON, {}
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
    match how:
        case "emptied":
            (tmp_path / "kc.db").unlink()
        case "epoch":
            with sqlite3.connect(tmp_path / "kc.db") as database:
                database.execute("UPDATE meta SET value = x'00' WHERE name = 'epoch'")
            database.close()
        case "embedder":
            extra = {"embedder": {"runtime": "hashing", "dimensions": 128}}
        case "secret":
            environ = ENVIRON | {"KINDCACHE_SECRET": "another secret than before"}
        case _:
            extra = {"defaults": {"ttl": "1h", "similarity_threshold": 0.8, "vectors": "int8"}}
    why = {"embedder": "OtherEmbedder", "secret": "OtherSecret", "coding": "OtherVectors"}
    async with place.cache(environ, **extra) as driver:
        (line,) = failures(driver)
        assert f'error="{why.get(how, "OtherEpoch")}",stage="snapshot.load"' in line
        again = await driver.chat(SAME, headers=KEY)
    assert records_read == ["load", "load"]
    assert again.header("x-cache") == ("HIT" if how == "coding" else "MISS")


@given(at=st.integers(0, 100_000), flip=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=12, deadline=None)
def test_a_damaged_one_is_made_again_from_the_store(
    at: int, flip: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def run() -> None:
        with ScriptedUpstream() as upstream:
            folder = tmp_path_factory.mktemp("damaged")
            place = Place(upstream, folder, f"sqlite:///{folder}/kc.db")
            async with place.cache() as driver:
                await driver.chat(FRANCE, headers=KEY)
            data = bytearray(place.path.read_bytes())
            data[at % len(data)] ^= flip
            place.path.write_bytes(data[: at % len(data)] if cut else data)
            async with place.cache() as driver:
                (line,) = failures(driver)
                assert 'stage="snapshot.load"' in line
                semantic = await driver.chat(SAME, headers=KEY)
                assert semantic.header("x-cache-tier") == "semantic"

    asyncio.run(run())


async def take(driver: AsgiDriver) -> bool:
    snapshots = driver.app.service.lifecycle.snapshots
    assert snapshots is not None
    await driver.app.service.engine.memory.writer.drain()
    return bool(await snapshots.take())


@pytest.mark.parametrize("while_writing", [False, True])
async def test_no_byte_of_an_erased_caller_is_left(
    place: Place, while_writing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.cache() as driver:
        for number in range(30):
            await driver.chat(f"a private matter, number {number} of mine", headers=KEY)
            await driver.chat(f"another's question {number}", headers=BOB)
        engine = driver.app.service.engine
        mine = [one for one in engine.memory.table if "private" in one.prompt]
        vectors = [await engine.embedder.embed(one.prompt) for one in mine]
        pieces = [one.key for one in mine] + [vector.tobytes() for vector in vectors]
        pieces.append(b"private matter")
        writing = None
        if while_writing:
            slow_down(monkeypatch)
            writing = asyncio.create_task(take(driver))
            await until(lambda: any(place.folder.glob(".kc.snapshot.*")))
        else:
            assert await take(driver)
            assert all(piece in place.bytes() for piece in pieces)
        body = {"headers": KEY}
        done = await driver.request("POST", "/_cache/erase", json=body, headers=ADMIN)
        assert done.json() == {"removed": 30}
        assert not any(piece in place.bytes() for piece in pieces)
        if writing is not None:
            assert not await writing
            monkeypatch.undo()
        assert await take(driver)
        assert b"another's question" in place.bytes()
        assert not any(piece in place.bytes() for piece in pieces)
    assert b"another's question" in place.bytes()
    assert not any(piece in place.bytes() for piece in pieces)


def slow_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the copy of the process wait until it is killed."""

    def forever(*_: object) -> None:
        signal.pause()

    monkeypatch.setattr(keeping, "write", forever)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.002)


async def test_one_from_before_an_erasure_elsewhere_is_deleted_at_the_start(
    place: Place, records_read: list[str]
) -> None:
    async with place.cache() as driver:
        await driver.chat("a private matter of mine", headers=KEY)
    async with place.cache(snapshot={}) as driver:  # another machine, which has no snapshot
        body = {"headers": KEY}
        done = await driver.request("POST", "/_cache/erase", json=body, headers=ADMIN)
        assert done.status == 200
    assert b"private" in place.bytes()
    async with place.cache() as driver:
        assert b"private" not in place.bytes()
        (line,) = failures(driver)
        assert 'error="Erased"' in line
        again = await driver.chat("a private matter of mine", headers=KEY)
    assert again.header("x-cache") == "MISS"
    assert len(records_read) == 3


async def test_one_that_is_not_encrypted_does_not_stay_once_the_store_is(place: Place) -> None:
    async with place.cache() as driver:
        await driver.chat("a private matter of mine", headers=KEY)
    assert b"private" in place.bytes()
    store = place.config["store"] | {"encryption_env": "KINDCACHE_KEYS"}
    async with place.cache(store=store):
        assert b"private" not in place.bytes()
    assert b"private" not in place.bytes()


async def test_a_process_that_dies_before_the_renaming_leaves_the_one_before(
    place: Place, records_read: list[str]
) -> None:
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
    half = place.folder / ".kc.snapshot.4711"
    half.write_bytes(place.path.read_bytes()[:-100])
    async with place.cache() as driver:
        assert not half.exists()
        semantic = await driver.chat(SAME, headers=KEY)
    assert semantic.header("x-cache-tier") == "semantic"
    assert records_read == ["load"]


async def test_a_copy_that_fails_or_hangs_changes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
        assert await take(driver)
        before = place.path.read_bytes()
        await driver.chat("something else", headers=KEY)
        snapshots = driver.app.service.lifecycle.snapshots
        slow_down(monkeypatch)
        assert not await snapshots.take(deadline_s=0.05)

        def broken(*_: object) -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr(keeping, "write", broken)
        assert not await snapshots.take()
        (line,) = failures(driver)
        assert 'error="Unfinished",stage="snapshot.write"' in line
        assert place.path.read_bytes() == before
        assert [file.name for file in place.folder.iterdir()] == ["kc.snapshot"]
        monkeypatch.undo()
        assert await take(driver)
        assert place.path.read_bytes() != before
        assert not await take(driver)  # nothing has changed


async def test_a_folder_that_cannot_be_written_is_said_and_survived(
    place: Place, tmp_path: Path
) -> None:
    place.folder.write_bytes(b"a file, where the folder should be")
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
        assert not await take(driver)
        assert any('stage="snapshot.' in line for line in failures(driver))
        assert (await driver.chat(SAME, headers=KEY)).header("x-cache") == "HIT"


async def test_an_erasure_while_it_is_being_loaded_wins(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.cache() as driver:
        await driver.chat("a private matter of mine", headers=KEY)
    read, go = asyncio.Event(), asyncio.Event()
    catch_up = Following.catch_up

    async def slowly(self: Any, after: int) -> int | None:
        read.set()
        await go.wait()
        return await catch_up(self, after)

    monkeypatch.setattr(Following, "catch_up", slowly)
    app = proxied(place.upstream.base_url, place.config, environ=ENVIRON)
    async with AsgiDriver(app) as driver:
        await driver.chat("hello", headers=BOB)
        await asyncio.wait_for(read.wait(), 10)
        body = {"headers": KEY}
        done = await driver.request("POST", "/_cache/erase", json=body, headers=ADMIN)
        assert done.json() == {"removed": 1}
        go.set()
        await loaded(app)
        held = {one.prompt for one in app.service.engine.memory.table}
        assert held == {"hello"}
        assert b"private" not in place.bytes()


async def test_what_comes_in_while_it_is_being_loaded_is_there_afterwards(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
    go = asyncio.Event()
    catch_up = Following.catch_up

    async def slowly(self: Any, after: int) -> int | None:
        reached = await catch_up(self, after)
        await go.wait()
        return reached

    monkeypatch.setattr(Following, "catch_up", slowly)
    app = proxied(place.upstream.base_url, place.config, environ=ENVIRON)
    async with AsgiDriver(app) as driver:
        await driver.chat("Which river flows through Vienna?", headers=KEY)
        go.set()
        await loaded(app)
        table = app.service.engine.memory.table
        await until(lambda: len(table) == 2)
        semantic = await driver.chat("Which river flows through Vienna", headers=KEY)
    assert semantic.header("x-cache-tier") == "semantic"


async def test_a_store_that_fails_meanwhile_is_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, records_read: list[str]
) -> None:
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
    catch_up = Following.catch_up
    tries: list[int] = []

    async def at_first_not(self: Any, after: int) -> int | None:
        tries.append(after)
        if len(tries) == 1:
            raise StoreError("down")
        return await catch_up(self, after)

    monkeypatch.setattr(Following, "catch_up", at_first_not)
    monkeypatch.setattr("kindcache.cache.lifecycle.TICK_S", 0.01)
    async with place.cache() as driver:
        semantic = await driver.chat(SAME, headers=KEY)
    assert semantic.header("x-cache-tier") == "semantic"
    assert len(tries) == 2
    assert records_read == ["load"]


async def test_a_snapshot_is_taken_now_and_then(place: Place) -> None:
    place.config["snapshot"]["every"] = "50ms"
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
        await until(place.path.exists)


async def test_one_process_writes_it_and_others_at_the_file_read_it(
    place: Place, records_read: list[str]
) -> None:
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
    written = place.path.stat()
    draft = place.folder / f".{place.path.name}.1"
    draft.write_bytes(b"another process is writing")
    records_read.clear()
    app = proxied(place.upstream.base_url, place.config, environ=ENVIRON, snapshots=False)
    async with AsgiDriver(app) as driver:
        await loaded(app)
        assert records_read == []
        assert (await driver.chat(SAME, headers=KEY)).header("x-cache") == "HIT"
        await driver.chat("Something new", headers=KEY)
        assert not await app.service.lifecycle.snapshots.take()
        assert failures(driver) == []
    assert place.path.stat() == written
    assert draft.exists()
    async with AsgiDriver(app := proxied(place.upstream.base_url, place.config, environ=ENVIRON)):
        await loaded(app)
        assert not draft.exists()


def test_versions_are_part_of_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents.made_by()
    monkeypatch.setattr(contents, "version", lambda _name: "99")
    assert contents.made_by() != before


@pytest.mark.parametrize("days", [31, -1])
async def test_one_that_may_be_older_than_a_forgotten_erasure_is_deleted(
    days: int, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = contents.Facts

    def of_another_day(**fields: Any) -> Any:
        return facts(**fields | {"made_s": fields["made_s"] - days * 86_400.0})

    monkeypatch.setattr(keeping, "Facts", of_another_day)
    async with place.cache() as driver:
        await driver.chat(FRANCE, headers=KEY)
        assert await take(driver)
    monkeypatch.undo()
    async with place.cache() as driver:
        (line,) = failures(driver)
        assert 'error="TooOld"' in line
        assert not place.path.exists()


async def test_drafts_are_found_whatever_the_name(place: Place) -> None:
    place.path = place.folder / "kc[1]*.snapshot"
    place.config["snapshot"] = {"path": str(place.path)}
    place.folder.mkdir()
    (place.folder / ".kc[1]*.snapshot.4711").write_bytes(b"a private matter")
    async with place.cache():
        assert b"private" not in place.bytes()
