"""A copy of the process does its work, and leaves nothing of ours changed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kindcache.cache.snapshot.child import Child

pytestmark = pytest.mark.anyio


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def test_it_writes_what_was_there_when_it_was_made(tmp_path: Path) -> None:
    held = ["before"]
    read, write = os.pipe()
    go, started = os.pipe()
    with (tmp_path / "out").open("wb") as file:

        def work() -> None:
            open_now = [number for number in range(256) if is_open(number)]
            file.write(f"{held} {open_now}".encode())
            file.flush()

        child = Child(work, file.fileno())
        held.append("after")
        assert await child.succeeded(10.0)
        expected = sorted({0, 1, 2, file.fileno()})
    for descriptor in (read, write, go, started):
        os.close(descriptor)  # still ours
    assert (tmp_path / "out").read_text() == f"['before'] {expected}"


async def test_one_that_fails_hangs_or_is_killed_did_not_succeed() -> None:
    def fail() -> None:
        raise ValueError

    assert not await Child(fail, 3).succeeded(10.0)
    assert not await Child(signal.pause, 3).succeeded(0.05)
    child = Child(signal.pause, 3)
    child.kill()
    assert not await child.succeeded(10.0)
    child.kill()  # too late, and harmless


async def test_signals_are_as_they_were() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert await Child(lambda: None, 3).succeeded(10.0)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
