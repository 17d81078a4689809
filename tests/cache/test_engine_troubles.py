"""The request path when the embedder or the store fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.entries.entry import decode_payload
from kindcache.cache.errors import EmbedderError
from kindcache.cache.events import Failed, Removed
from kindcache.cache.outcome import Aside, Found, Lead
from kindcache.cache.ports import Encoded
from kindcache.cache.settling import release, settle
from kindcache.policies.verdict import Reason, Tier
from tests.cache.small_engine import (
    DIM,
    anew,
    batcher,
    down,
    fill,
    found,
    leading,
    received,
    request,
    running,
)
from tests.conftest import FakeClock
from tests.drivers.gated import GatedEncoder

pytestmark = pytest.mark.anyio

CODE = "show the code for sorting a list"
SAME_CODE = "please show the code for sorting a list"
LONG = "code " * 60  # the window has 40

# The embedder fails


class Failing:
    """An encoder that fails for all but its first texts."""

    identity, dim, window = "failing", DIM, 40

    def __init__(self, good: int) -> None:
        self._left = good

    def encode(self, texts: Sequence[str]) -> Encoded:
        self._left -= 1
        if self._left < 0:
            raise EmbedderError("broken")
        return HashingEncoder(DIM).encode(texts)


@pytest.mark.parametrize("prompt", [CODE, "hello"], ids=["kind by rule", "kind undecided"])
async def test_a_failing_embedder_is_a_miss_and_the_undecided_is_not_stored(
    prompt: str, clock: FakeClock
) -> None:
    async with running(clock, embedder=batcher(Failing(0))) as at:
        lead = await leading(at.engine, request(prompt))
        assert (lead.miss.reason, lead.vector) == (Reason.EMBEDDER, None)
        assert at.seen.of(Failed) == [Failed("embed", "EmbedderError")]
        settle(at.engine, lead, received())
        outcome = await at.engine.lookup(request(prompt))
        assert isinstance(outcome, Found if prompt == CODE else Lead)


async def test_a_late_embedder_is_a_miss(clock: FakeClock) -> None:
    gated = GatedEncoder(HashingEncoder(DIM))
    gated.gate.clear()
    async with running(clock, embedder=batcher(gated, deadline_s=0.01)) as at:
        lead = await leading(at.engine, request(SAME_CODE))
        assert lead.miss.reason is Reason.EMBEDDER
        assert at.seen.of(Failed) == [Failed("embed", "EmbedderTimeout")]
        gated.gate.set()


async def test_a_busy_embedder_is_a_miss(clock: FakeClock) -> None:
    gated = GatedEncoder(HashingEncoder(DIM))
    gated.gate.clear()
    async with running(clock, embedder=batcher(gated, queue=1)) as at:
        first = asyncio.create_task(at.engine.lookup(request("code one")))
        await asyncio.to_thread(gated.entered.acquire)
        second = asyncio.create_task(at.engine.lookup(request("code two")))
        await at.store.called("get", 2)
        await asyncio.sleep(0)
        lead = await leading(at.engine, request("code three"))
        assert lead.miss.reason is Reason.EMBEDDER
        assert at.seen.of(Failed) == [Failed("embed", "EmbedderBusy")]
        gated.gate.set()
        await asyncio.gather(first, second)


async def test_an_embedder_that_is_closed_passes_calls_through(clock: FakeClock) -> None:
    async with running(clock) as at:
        await at.embedder.aclose()
        outcome = await at.engine.lookup(request(CODE))
        assert isinstance(outcome, Aside)
        assert outcome.bypass.reason is Reason.INTERNAL


async def test_exact_hits_need_no_embedder(clock: FakeClock) -> None:
    async with running(clock, embedder=batcher(Failing(1))) as at:
        await fill(at.engine, request("hello"))
        await found(at.engine, request("hello"))
        assert at.seen.of(Failed) == []


async def test_a_prompt_over_the_window_is_stored_and_found_to_the_letter_only(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(LONG + "one"))
        assert (await found(at.engine, request(LONG + "one"))).hit.tier is Tier.EXACT
        assert (await leading(at.engine, request(LONG + "two"))).miss.reason is Reason.OVER_WINDOW
        assert len(at.engine.memory.table) == 1
        assert at.engine.memory.table.indexes() == ()


# The store fails


@pytest.mark.parametrize("words", [CODE, SAME_CODE])
async def test_a_store_that_fails_is_a_miss_and_counted(words: str, clock: FakeClock) -> None:
    async with running(clock, hot_bytes=0) as at:
        await fill(at.engine, request(CODE))
        await at.engine.memory.writer.drain()
        at.store.troubles["get"] = down()
        lead = await leading(at.engine, request(words))
        assert lead.miss.reason is Reason.STORE
        assert Failed("store.get", "StoreError") in at.seen.of(Failed)
        assert len(at.engine.memory.table) == 1
        release(at.engine, lead)
        at.store.troubles.clear()
        await found(at.engine, request(words))


async def test_while_the_store_is_away_what_is_hot_is_served(clock: FakeClock) -> None:
    async with running(clock) as at:
        at.store.troubles = {"get": down(), "put": down()}
        await fill(at.engine, request(CODE))
        await at.engine.memory.writer.drain()
        await found(at.engine, request(CODE))
        await found(at.engine, request(SAME_CODE))


@pytest.mark.parametrize(("words", "reason"), [(CODE, Reason.NEW), (SAME_CODE, None)])
async def test_an_entry_whose_payload_is_gone_is_dropped(
    words: str, reason: Reason | None, clock: FakeClock
) -> None:
    async with running(clock, hot_bytes=0) as at:
        await fill(at.engine, request(CODE))
        await at.engine.memory.writer.drain()
        (entry,) = at.engine.memory.table
        await at.store.inner.delete([entry.key])
        miss = (await leading(at.engine, request(words))).miss
        assert miss.reason is (reason or Reason.PAYLOAD_MISSING)
        assert len(at.engine.memory.table) == 0
        assert at.seen.of(Removed) == [Removed(1, "missing")]


@pytest.mark.parametrize("words", [CODE, SAME_CODE])
async def test_a_damaged_payload_is_dropped_everywhere_counted_and_a_miss(
    words: str, clock: FakeClock
) -> None:
    async with running(clock, hot_bytes=0) as at:
        await fill(at.engine, request(CODE))
        await at.engine.memory.writer.drain()
        (entry,) = at.engine.memory.table
        data = await at.store.get(entry.key)
        assert data is not None
        await at.store.put(entry.key, data[:-3], b"record", 60.0)
        lead = await leading(at.engine, request(words))
        assert lead.miss.reason is Reason.PAYLOAD_CORRUPT
        assert Failed("store.decode", "CorruptRecord") in at.seen.of(Failed)
        assert at.seen.of(Removed) == [Removed(1, "corrupt")]
        assert len(at.engine.memory.table) == 0
        await at.engine.memory.writer.drain()
        assert await at.store.get(entry.key) is None


async def test_a_stored_answer_is_found_to_the_letter_before_the_table_knows_it(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE), "kept")
        await at.engine.memory.writer.drain()
        at.engine.memory.clear()
        hit = await found(at.engine, request(CODE))
        assert hit.payload.answer.choices[0].text == "kept"
        assert hit.trace.store_s > 0


async def _slow_read(at: Any, clock: FakeClock) -> tuple[asyncio.Task[Any], asyncio.Event]:
    """Begin a lookup of ``CODE`` whose read of the store has happened and not yet come back."""
    await at.engine.memory.writer.drain()
    (entry,) = at.engine.memory.table
    at.engine.memory.hot.discard(entry.key)
    gate = at.store.gates["get"] = asyncio.Event()
    calls = at.store.calls.count("get")
    task = asyncio.create_task(at.engine.lookup(request(CODE)))
    await at.store.called("get", calls + 1)
    del at.store.gates["get"]
    return task, gate


async def test_what_was_purged_during_a_read_is_not_served(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE), "purged")
        (entry,) = at.engine.memory.table
        task, gate = await _slow_read(at, clock)
        at.engine.memory.remove([entry.key], "purged")
        gate.set()
        late = await task
        assert isinstance(late, Lead)
        release(at.engine, late)
        await at.engine.memory.writer.drain()
        await leading(at.engine, request(CODE))


async def test_what_was_replaced_during_a_read_is_not_served_again(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE), "old")
        task, gate = await _slow_read(at, clock)
        settle(at.engine, await anew(at.engine, request(CODE)), received("new"))
        gate.set()
        assert (await task).payload.answer.choices[0].text == "new"
        assert (await found(at.engine, request(CODE))).payload.answer.choices[0].text == "new"


@pytest.mark.parametrize("state", ["missing", "corrupt"])
async def test_what_was_written_during_a_vain_read_stays(state: str, clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE), "old")
        await at.engine.memory.writer.drain()
        (entry,) = at.engine.memory.table
        if state == "missing":
            await at.store.inner.delete([entry.key])
        else:
            await at.store.inner.put(entry.key, b"\xff", b"", 60.0)
        task, gate = await _slow_read(at, clock)
        settle(at.engine, await anew(at.engine, request(CODE)), received("new"))
        gate.set()
        outcome = await task
        assert isinstance(outcome, Found | Lead)
        await at.engine.memory.writer.drain()
        assert (await found(at.engine, request(CODE))).payload.answer.choices[0].text == "new"
        data = await at.store.get(entry.key)
        assert data is not None
        assert decode_payload(data).answer.choices[0].text == "new"
