"""Purging: gone from memory at once, from the store when it returns."""

from __future__ import annotations

import asyncio

import pytest

from kindcache.cache.errors import StoreError
from kindcache.cache.events import Removed
from kindcache.cache.outcome import Found, Lead
from kindcache.cache.ports import EntryKey
from kindcache.cache.removing.purging import purge
from kindcache.cache.settling import release
from tests.cache.small_engine import Running, down, fill, request, running
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

PROMPTS = {"the news": "news", "more news": "news", "some code": "code", "hello": "default"}


async def filled(at: Running) -> None:
    for prompt in PROMPTS:
        await fill(at.engine, request(prompt))
    await at.engine.memory.writer.drain()


async def known(at: Running) -> set[str]:
    """Which prompts are answered to the letter."""
    hits = set()
    for prompt in PROMPTS:
        outcome = await at.engine.lookup(request(prompt))
        if isinstance(outcome, Found):
            hits.add(prompt)
        elif isinstance(outcome, Lead):
            release(at.engine, outcome)
    return hits


@pytest.mark.parametrize(
    ("category", "left"),
    [("news", {"some code", "hello"}), (None, set()), ("unheard of", set(PROMPTS))],
)
async def test_a_purge_takes_what_it_names_and_nothing_else(
    category: str | None, left: set[str], clock: FakeClock
) -> None:
    async with running(clock) as at:
        await filled(at)
        count = len(PROMPTS) - len(left)
        assert await purge(at.engine, category) == count
        assert await known(at) == left
        assert len([key async for key, _ in at.store.records()]) == len(left)
        assert sum(event.count for event in at.seen.of(Removed)) == count


async def test_what_only_the_store_knows_is_purged_too(clock: FakeClock) -> None:
    async with running(clock) as at:
        await filled(at)
        at.engine.memory.clear()
        assert await known(at) == set(PROMPTS)  # from the store; hot payloads now know them
        assert await purge(at.engine, "news") == 2
        assert await known(at) == {"some code", "hello"}


async def test_what_others_took_out_of_the_store_is_purged_from_memory_too(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await filled(at)
        keys = [key async for key, _ in at.store.records()]
        at.engine.memory.clear()
        assert await known(at) == set(PROMPTS)  # hot, and not in the table
        await at.store.inner.delete(keys)
        await purge(at.engine, "news")
        assert await known(at) == {"some code", "hello"}


async def test_records_that_nobody_can_read_go_with_any_purge(clock: FakeClock) -> None:
    async with running(clock) as at:
        await at.store.put(EntryKey(b"x" * 16), b"payload", b"no record", 60.0)
        assert await purge(at.engine, "news") == 1
        assert [key async for key, _ in at.store.records()] == []


async def test_an_answer_that_is_being_written_does_not_come_back(clock: FakeClock) -> None:
    async with running(clock) as at:
        gate = at.store.gates["put"] = asyncio.Event()
        await fill(at.engine, request("the news"))
        purging = asyncio.create_task(purge(at.engine, "news"))
        await at.store.called("records")
        assert len(at.engine.memory.table) == 0
        gate.set()
        assert await purging == 1
        assert [key async for key, _ in at.store.records()] == []


async def test_a_store_that_cannot_be_read_is_an_error_after_memory_is_empty(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await filled(at)
        at.store.troubles["records"] = down()
        with pytest.raises(StoreError):
            await purge(at.engine, None)
        assert len(at.engine.memory.table) == len(at.engine.memory.hot) == 0
        at.store.troubles.clear()
        await at.engine.memory.writer.drain()
        assert await known(at) == set()
