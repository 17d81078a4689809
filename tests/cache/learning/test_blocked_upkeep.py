"""What is blocked goes to the store and comes back from it, in the background and in time."""

from __future__ import annotations

import pytest

from kindcache.cache import lifecycle as lifecycle_module
from kindcache.cache.events import Failed
from kindcache.cache.learning.blocked import pair
from kindcache.policies.verdict import Reason
from tests.cache.small_engine import TroubledStore, down, fill, found, leading, request
from tests.cache.test_lifecycle import CODE, SAME_CODE, Kept, opened, until
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _fast_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_module, "TICK_S", 0.001)


async def test_one_process_tells_the_other(clock: FakeClock) -> None:
    store = Kept(clock)
    async with opened(clock, store) as one, opened(clock, store) as other:
        await fill(one.engine, request(CODE))
        hit = await found(one.engine, request(SAME_CODE))
        one.engine.blocked.add(pair(hit.ask, CODE))
        await until(lambda: len(other.engine.blocked))
        assert other.engine.blocked.knows(pair(hit.ask, CODE))


async def test_what_was_blocked_last_is_told_at_the_end_and_known_before_anything_is_found(
    clock: FakeClock,
) -> None:
    store = Kept(clock)
    async with opened(clock, store) as first:
        await fill(first.engine, request(CODE))
        hit = await found(first.engine, request(SAME_CODE))
        first.engine.blocked.add(pair(hit.ask, CODE))  # and at once it is closed
    store.calls.clear()
    async with opened(clock, store) as second:
        await until(lambda: second.lifecycle.loaded)
        assert store.calls.index("counts") < store.calls.index("records")
        assert (await leading(second.engine, request(SAME_CODE))).miss.reason is Reason.BLOCKED


async def test_while_the_ledger_cannot_be_read_nothing_is_loaded(clock: FakeClock) -> None:
    store = Kept(clock)
    async with opened(clock, store) as first:
        await fill(first.engine, request(CODE))
    store.troubles["counts"] = down()
    async with opened(clock, store) as second:
        await until(lambda: store.calls.count("counts") > 9)
        assert not second.lifecycle.loaded
        assert len(second.engine.memory.table) == 0
        del store.troubles["counts"]
        await until(lambda: second.lifecycle.loaded)
        await found(second.engine, request(SAME_CODE))


async def test_a_store_that_is_away_gets_it_later(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    async with opened(clock, store) as cache:
        await until(lambda: cache.lifecycle.loaded)
        store.troubles["count"] = down()
        await fill(cache.engine, request(CODE))
        hit = await found(cache.engine, request(SAME_CODE))
        cache.engine.blocked.add(pair(hit.ask, CODE))
        await until(lambda: Failed("blocked", "StoreError") in cache.seen.events)
        assert (await leading(cache.engine, request(SAME_CODE))).miss.reason is Reason.BLOCKED
        assert await store.inner.counts("blocked") == {}
        del store.troubles["count"]
        await until(lambda: store.inner._counters.get("blocked"))
