"""Stand-ins for a model that fails, where the caller leaves in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kindcache.adapters.serving.standing_in import StandIns
from kindcache.cache.outages import Outages
from kindcache.cache.outcome import Follow
from tests.cache.small_engine import fill, leading, request, running
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

POLICY = "defaults: {similarity_threshold: 0.5, ttl: 1h, stale_if_error: 1d}"


async def nothing(*_: Any) -> None:
    """Neither ask nor answer."""


async def test_a_caller_that_is_cut_off_while_a_stand_in_is_sought_frees_those_who_follow(
    clock: FakeClock,
) -> None:
    async with running(clock, text=POLICY) as at:
        await fill(at.engine, request("hello"))
        await at.engine.memory.writer.drain()
        clock.advance(7200)
        lead = await leading(at.engine, request("hello"))
        follow = await at.engine.lookup(request("hello"))
        assert isinstance(follow, Follow)
        outages = Outages(clock)
        outages.settle("m", lead.ask.key, None, failed=True)
        at.engine.memory.hot.discard(lead.ask.key)
        at.store.gates["get"] = asyncio.Event()
        calls = at.store.calls.count("get")
        stand_ins = StandIns(at.engine, outages)
        task = asyncio.create_task(
            stand_ins.lead(lead, request("hello"), nothing, nothing, nothing)
        )
        await at.store.called("get", calls + 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(5):
            assert await follow.flight.wait() is None
        assert len(at.engine.flights) == 0
