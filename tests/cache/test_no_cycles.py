"""Answers that leave are freed at once: a server may keep garbage collection away from them."""

from __future__ import annotations

import gc

import pytest

from kindcache.cache.entries.entry import Payload
from tests.cache.small_engine import fill, found, request, running
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio


async def test_what_was_evicted_is_freed_without_a_collection(clock: FakeClock) -> None:
    async with running(clock, capacity=1) as at:
        gc.disable()
        try:
            await fill(at.engine, request("the one that goes"))
            await found(at.engine, request("the one that goes"))
            await fill(at.engine, request("hello"))
            await at.engine.memory.writer.drain()
            at.seen.events.clear()
            # Not by isinstance, which asks lazy objects of other packages for their class.
            payloads = [kept for kept in gc.get_objects() if type(kept) is Payload]
            prompts = {kept.prompt for kept in payloads}
        finally:
            gc.enable()
        assert "hello" in prompts
        assert "the one that goes" not in prompts
