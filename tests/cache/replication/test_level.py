"""Who has not heard the store for too long serves nothing, and goes on as soon as he has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kindcache.cache import lifecycle as lifecycle_module
from kindcache.cache.engine import Engine
from kindcache.cache.errors import StoreError
from kindcache.cache.examples import Examples
from kindcache.cache.lifecycle import Lifecycle
from kindcache.cache.outcome import Lead
from kindcache.cache.replication import following
from kindcache.cache.replication.level import Level
from kindcache.cache.settling import release
from kindcache.policies.verdict import Reason
from tests.cache.small_engine import (
    TroubledStore,
    batcher,
    fill,
    found,
    leading,
    request,
    small_engine,
)
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

CODE = "show the code for sorting a list"
SAME_CODE = "please show the code for sorting a list"
MAX_LAG_S = 1.0


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_module, "TICK_S", 0.001)
    monkeypatch.setattr(following, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(following, "WAIT_S", 0.01)


class Deaf:
    """Keeps a follower from hearing, while ``on``."""

    def __init__(self, lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self.asked = 0
        inner = lifecycle.engine.store.changes.since

        async def since(*what: Any) -> Any:
            self.asked += 1
            if self.on:
                raise StoreError("away")
            return await inner(*what)

        monkeypatch.setattr(lifecycle.engine.store.changes, "since", since)

    async def noticed(self) -> None:
        """Wait until what was asked before it was deaf is over."""
        asked = self.asked
        await until(lambda: self.asked >= asked + 2)


@asynccontextmanager
async def following_(monotonic: FakeClock, clock: FakeClock) -> AsyncIterator[Lifecycle]:
    engine, _ = small_engine(clock, TroubledStore(clock), batcher())
    engine.epoch = None
    engine.level = Level(MAX_LAG_S, monotonic)
    lifecycle = Lifecycle(engine, Examples())
    lifecycle.follower.monotonic = monotonic
    await lifecycle.open()
    await until(lambda: lifecycle.loaded and engine.hears())
    yield lifecycle
    await asyncio.wait_for(lifecycle.aclose(), 20)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def missed(engine: Engine, prompt: str) -> Reason:
    lead = await leading(engine, request(prompt))
    release(engine, lead)
    return lead.miss.reason


async def test_what_is_in_memory_is_served_no_longer_than_allowed(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monotonic = FakeClock(100.0)
    async with following_(monotonic, clock) as lifecycle:
        engine = lifecycle.engine
        await fill(engine, request(CODE))
        await found(engine, request(SAME_CODE))
        deaf = Deaf(lifecycle, monkeypatch)
        deaf.on = True
        await deaf.noticed()
        monotonic.advance(MAX_LAG_S)
        await found(engine, request(CODE))
        monotonic.advance(0.01)
        for words in (CODE, SAME_CODE, "hello"):
            assert await missed(engine, words) is Reason.STORE
        assert lifecycle.health()["problems"] == ["replication"]
        deaf.on = False
        await until(engine.hears)
        assert lifecycle.health()["problems"] == []
        await found(engine, request(CODE))
        await found(engine, request(SAME_CODE))


async def test_no_call_in_progress_is_shared_meanwhile(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monotonic = FakeClock(100.0)
    async with following_(monotonic, clock) as lifecycle:
        engine = lifecycle.engine
        first = await leading(engine, request(CODE))
        deaf = Deaf(lifecycle, monkeypatch)
        deaf.on = True
        await deaf.noticed()
        monotonic.advance(MAX_LAG_S + 0.01)
        second = await engine.lookup(request(CODE))
        assert isinstance(second, Lead)
        for lead in (first, second):
            release(engine, lead)


async def test_an_idle_log_is_asked_often_enough(clock: FakeClock) -> None:
    """Nothing is told, and answers are served all the same."""
    monotonic = FakeClock(100.0)
    async with following_(monotonic, clock) as lifecycle:
        await fill(lifecycle.engine, request(CODE))
        for _ in range(5):
            monotonic.advance(0.9 * MAX_LAG_S)
            await found(lifecycle.engine, request(CODE))
            heard_s = lifecycle.engine.level.heard_s if lifecycle.engine.level else 0.0
            await until(lambda before=heard_s: _heard_s(lifecycle.engine) > before)


def _heard_s(engine: Engine) -> float:
    assert engine.level is not None
    return engine.level.heard_s


def test_the_log_is_looked_at_several_times_within_the_time_allowed() -> None:
    assert Level(1.0).look_every_s <= 0.5
