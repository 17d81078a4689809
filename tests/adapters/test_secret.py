"""The secret: given, or made once for all that share a store's file."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kindcache.adapters.secret import load_secret
from kindcache.cache.errors import StartupError

COUNT = 16
MAKE = """
import sys
from pathlib import Path
from kindcache.adapters.secret import load_secret
sys.stdin.read(1)
print(load_secret({}, Path(sys.argv[1]), shared_store=False).decode())
"""


def test_all_that_start_at_once_on_a_fresh_store_have_one_secret(tmp_path: Path) -> None:
    store = tmp_path / "new" / "kindcache.db"
    begin = threading.Barrier(COUNT)

    def made() -> bytes:
        begin.wait()
        return load_secret({}, store, shared_store=False)

    with ThreadPoolExecutor(COUNT) as threads:
        found = {future.result() for future in [threads.submit(made) for _ in range(COUNT)]}
    assert len(found) == 1
    (file,) = store.parent.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert found == {file.read_bytes()}


def test_so_have_processes(tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-c", MAKE, str(tmp_path / "kindcache.db")]
    processes = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"1")
        process.stdin.flush()
    told = {process.communicate(timeout=60)[0] for process in processes}
    assert len(told) == 1
    assert len(told.pop()) > 32


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    store = tmp_path / "kindcache.db"
    (tmp_path / "kindcache.secret.1").write_bytes(b"")  # of a container, where all have one id
    assert len(load_secret({}, store, shared_store=False)) >= 32


def test_a_shared_store_needs_a_given_one(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="set KINDCACHE_SECRET"):
        load_secret({}, None, shared_store=True)
    given = {"KINDCACHE_SECRET": "long enough to be one"}
    assert load_secret(given, tmp_path / "kc.db", shared_store=True) == b"long enough to be one"
