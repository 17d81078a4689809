"""A worker's private socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kindcache.adapters.workers.door import Door, ask
from kindcache.cache.errors import StartupError

pytestmark = pytest.mark.anyio


async def test_it_answers_whole_and_only_what_it_knows(tmp_path: Path) -> None:
    async def large() -> bytes:
        return b"x" * 1_000_000

    path = tmp_path / "door"
    door = Door(path)
    await door.open({"large": large})
    assert await ask(path, "large", 5) == b"x" * 1_000_000
    assert await ask(path, "other", 5) is None
    await door.aclose()
    await door.aclose()
    assert not path.exists()
    assert await ask(path, "large", 5) is None


async def test_who_does_not_answer_in_time_does_not_answer(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def never() -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    door = Door(tmp_path / "door")
    await door.open({"never": never})
    assert await ask(tmp_path / "door", "never", 0.05) is None
    assert asked.is_set()
    await door.aclose()


async def test_an_answer_that_ends_early_is_none(tmp_path: Path) -> None:
    async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"10\nhalf")
        writer.close()

    server = await asyncio.start_unix_server(half, tmp_path / "door")
    assert await ask(tmp_path / "door", "any", 5) is None
    server.close()


async def test_a_socket_that_a_killed_one_left_is_replaced(tmp_path: Path) -> None:
    async def word() -> bytes:
        return b"new"

    path = tmp_path / "door"
    path.touch()
    door = Door(path)
    await door.open({"word": word})
    assert await ask(path, "word", 5) == b"new"
    await door.aclose()


async def test_a_place_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot listen on"):
        await Door(tmp_path / "none" / "door").open({})
