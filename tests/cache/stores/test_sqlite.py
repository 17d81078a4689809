from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kindcache.cache.errors import StoreError
from kindcache.cache.ports import EntryKey
from kindcache.cache.stores.sqlite import SqliteStore
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

A = EntryKey(b"A" * 16)
B = EntryKey(b"B" * 16)
HOUR_S = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "of its own" / "cache?#%.db"


@pytest.fixture
async def store(path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, clock, busy_timeout_s=0.1)
    await store.open()
    yield store
    await store.aclose()


async def refusal(path: Path) -> str:
    """Return why ``path`` cannot be opened."""
    store = SqliteStore(path, time.time, busy_timeout_s=0.1)
    with pytest.raises(StoreError) as caught:
        await store.open()
    with pytest.raises(StoreError):
        await store.get(A)
    with pytest.raises(StoreError):
        await store.put(A, b"p", b"r", HOUR_S)
    await store.aclose()
    return str(caught.value)


async def test_the_file_is_private(store: SqliteStore, path: Path) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    files = list(path.parent.iterdir())
    assert path in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_closing_leaves_one_file(store: SqliteStore, path: Path) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    await store.aclose()
    assert list(path.parent.iterdir()) == [path]


async def test_waiting_writes_are_finished_by_closing(
    store: SqliteStore, path: Path, clock: FakeClock
) -> None:
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(1000)]
    puts = [asyncio.create_task(store.put(key, key, key, HOUR_S)) for key in keys]
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.gather(*puts)
    again = SqliteStore(path, clock)
    await again.open()
    assert {key async for key, _ in again.records()} == set(keys)
    await again.aclose()


async def test_a_cancelled_close_closes_all_the_same(store: SqliteStore, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")  # keeps the put waiting, and the close behind it
    put = asyncio.create_task(store.put(A, b"payload", b"record", HOUR_S))
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(StoreError):
        await put
    other.execute("ROLLBACK")
    other.close()
    async with asyncio.timeout(5.0):
        while list(path.parent.iterdir()) != [path]:
            # The log goes with the last connection; two that close at once may both leave it.
            last = sqlite3.connect(path)
            last.execute("SELECT 1 FROM meta").fetchall()
            last.close()
            await asyncio.sleep(0.01)


async def test_closing_while_it_is_being_opened(path: Path) -> None:
    store = SqliteStore(path, time.time)
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(0)
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await opening
    with pytest.raises(StoreError):
        await store.get(A)
    async with asyncio.timeout(5.0):
        while list(path.parent.iterdir()) != [path]:
            await asyncio.sleep(0.01)
    await store.open()
    await store.put(A, b"payload", b"record", HOUR_S)
    assert await store.get(A) == b"payload"
    await store.aclose()


async def test_expired_rows_leave_the_file(
    store: SqliteStore, path: Path, clock: FakeClock
) -> None:
    for number in range(500):
        await store.put(EntryKey(number.to_bytes(16, "big")), bytes(5000), b"r", 60.0)
    clock.advance(61.0)
    for _ in range(20):
        await store.put(A, b"payload", b"record", HOUR_S)
    with sqlite3.connect(path) as look:
        assert look.execute("SELECT count(*) FROM entries").fetchone() == (1,)
        assert look.execute("SELECT count(*) FROM payloads").fetchone() == (1,)
    look.close()


async def test_reads_keep_no_snapshot_open(store: SqliteStore, path: Path) -> None:
    """A read that lingered would keep the log from ever being folded into the file."""
    await store.put(A, b"payload", b"record", HOUR_S)
    assert await store.get(A) == b"payload"
    await store.put(B, b"payload", b"record", HOUR_S)
    other = sqlite3.connect(path)
    (busy, _, _) = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    other.close()
    assert busy == 0


async def test_reads_do_not_wait_for_a_writer(store: SqliteStore, path: Path) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert await store.get(A) == b"payload"
    assert [key async for key, _ in store.records()] == [A]
    with pytest.raises(StoreError, match="locked"):
        await store.put(B, b"payload", b"record", HOUR_S)
    other.execute("ROLLBACK")
    other.close()
    await store.put(B, b"payload", b"record", HOUR_S)
    assert await store.get(B) == b"payload"


async def test_a_locked_file_is_refused_and_can_be_opened_later(path: Path) -> None:
    path.parent.mkdir(parents=True)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    store = SqliteStore(path, time.time, busy_timeout_s=0.05)
    with pytest.raises(StoreError, match="locked"):
        await store.open()
    other.execute("ROLLBACK")
    other.close()
    await store.open()
    await store.put(A, b"payload", b"record", HOUR_S)
    await store.aclose()


async def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"shopping list\n" * 1000)
    message = await refusal(path)
    assert str(path) in message
    assert "not a database" in message
    assert path.read_bytes() == b"shopping list\n" * 1000


async def test_a_database_of_something_else_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE entries (name TEXT)")
    other.execute("INSERT INTO entries VALUES ('precious')")
    other.commit()
    other.close()
    before = path.read_bytes()
    message = await refusal(path)
    assert str(path) in message
    assert "store.url" in message
    assert path.read_bytes() == before


async def test_another_version_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "future.db"
    store = SqliteStore(path, time.time)
    await store.open()
    await store.put(A, b"payload", b"record", HOUR_S)
    await store.aclose()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    message = await refusal(path)
    assert str(path) in message
    assert "format 99" in message
    assert "move the file away" in message
    other = sqlite3.connect(path)
    assert other.execute("SELECT payload FROM payloads").fetchone() == (b"payload",)
    other.close()


async def test_damage_found_while_running_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    store = SqliteStore(path, time.time)
    await store.open()
    for number in range(50):
        await store.put(EntryKey(number.to_bytes(16, "big")), bytes(3000), b"r", HOUR_S)
    await store.aclose()
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)

    async def use() -> None:
        await store.open()
        await store.get(EntryKey(bytes(16)))

    with pytest.raises(StoreError):  # opening may notice it already
        await use()
    await store.aclose()


@pytest.mark.parametrize("where", ["file as folder", "folder as file", "no rights"])
async def test_a_place_where_nothing_can_be_written(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = {
        "file as folder": tmp_path / "file" / "cache.db",
        "folder as file": tmp_path,
        "no rights": Path("/proc/kindcache/cache.db"),  # read-only for root too
    }[where]
    assert str(path) in await refusal(path)


async def test_a_full_disk_fails_writes_and_spares_reads(store: SqliteStore, path: Path) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(file.stat().st_size for file in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 8192, before[1]))
    try:
        with pytest.raises(StoreError):
            await store.put(B, os.urandom(1 << 20), b"record", HOUR_S)
        assert await store.get(A) == b"payload"
        assert await store.get(B) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await store.put(B, b"later", b"record", HOUR_S)
    assert await store.get(B) == b"later"


async def test_messages_show_no_stored_bytes(store: SqliteStore, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("DROP TABLE payloads")
    other.close()
    with pytest.raises(StoreError) as caught:
        await store.put(A, b"very secret", b"also secret", HOUR_S)
    text = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "secret" not in text
    assert "AAAA" not in text


async def test_the_loop_stays_free_while_records_are_listed(
    store: SqliteStore, clock: FakeClock
) -> None:
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(10_000)]
    await asyncio.gather(*(store.put(key, b"p", bytes(900), HOUR_S) for key in keys))
    longest_s = 0.0
    started_s = last_s = time.perf_counter()
    count = 0
    async for _ in store.records():
        count += 1
        now_s = time.perf_counter()
        longest_s = max(longest_s, now_s - last_s)
        last_s = now_s
    assert count == 10_000
    assert time.perf_counter() - started_s < 3.0  # usually 0.03 s
    assert longest_s < 0.5


CHILD = """
import asyncio, sys, time
from pathlib import Path
from kindcache.cache.stores.sqlite import SqliteStore

async def main(path, number):
    store = SqliteStore(Path(path), time.time, busy_timeout_s=10.0)
    await store.open()
    epoch = await store.claim("epoch", number.encode())
    for turn in range(100):
        key = f"{number}.{turn}".encode().rjust(16)
        await store.put(key, key * 50, key, 3600.0)
        assert await store.get(key) == key * 50
    await store.aclose()
    print(epoch.decode())

asyncio.run(main(*sys.argv[1:]))
"""


def test_processes_share_a_file(tmp_path: Path) -> None:
    """They start together on a file that does not exist yet, which is the hardest moment."""
    path = tmp_path / "shared.db"
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(path)]
    children = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    claimed = [child.communicate(timeout=60)[0].strip() for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert len(set(claimed)) == 1

    async def count() -> int:
        store = SqliteStore(path, time.time)
        await store.open()
        found = [key async for key, _ in store.records()]
        await store.aclose()
        return len(found)

    assert asyncio.run(count()) == 400


def test_a_killed_process_leaves_whole_entries(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    code = CHILD.replace("range(100)", "range(10**9)").replace(
        "    for turn", '    print("go", flush=True)\n    for turn'
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path), "1"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    give_up_at = time.monotonic() + 30.0
    wal = path.with_name(path.name + "-wal")
    while wal.stat().st_size < 200_000 and time.monotonic() < give_up_at:
        time.sleep(0.01)
    child.kill()
    child.communicate()

    async def check() -> int:
        store = SqliteStore(path, time.time)
        await store.open()
        count = 0
        async for key, record in store.records():
            assert record == key
            assert await store.get(key) == key * 50
            count += 1
        await store.put(A, b"after", b"after", HOUR_S)
        assert await store.get(A) == b"after"
        await store.aclose()
        return count

    assert asyncio.run(check()) > 10


async def test_a_file_from_before_there_were_counters_is_read(
    store: SqliteStore, path: Path, clock: FakeClock
) -> None:
    await store.put(A, b"payload", b"record", HOUR_S)
    await store.aclose()
    with sqlite3.connect(path) as older:
        older.execute("DROP TABLE counters")
    older.close()
    again = SqliteStore(path, clock)
    await again.open()
    await again.count("ledger", {"name": 1})
    assert await again.counts("ledger") == {"name": 1}
    assert await again.get(A) == b"payload"
    await again.aclose()
