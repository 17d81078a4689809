"""Table, hot payloads and queued writes: always in step."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import numpy as np
import pytest

from kindcache.cache.engine import Engine
from kindcache.cache.entries.entry import IndexRecord, decode_payload, decode_record
from kindcache.cache.errors import CorruptRecord
from kindcache.cache.events import Removed
from kindcache.cache.ports import EntryKey, Store
from kindcache.policies.facts import Directives
from kindcache.policies.guards.signature import signature
from kindcache.policies.verdict import Admit, Reason, Refuse
from tests.cache.small_engine import DIM, fill, found, leading, request, running
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio


async def records(store: Store) -> dict[EntryKey, IndexRecord]:
    return {key: decode_record(data) async for key, data in store.records()}


def keys(engine: Engine) -> list[EntryKey]:
    return [entry.key for entry in engine.memory.table]


async def test_an_admitted_answer_is_in_table_hot_payloads_and_store(clock: FakeClock) -> None:
    async with running(clock) as at:
        asked = request("write code", directives=Directives(ttl_s=90.0))
        assert await fill(at.engine, asked, "x = 1") == Admit(90.0)
        memory = at.engine.memory
        (entry,) = memory.table
        assert (entry.prompt, entry.category, entry.ttl_s) == ("write code", "code", 90.0)
        assert (entry.created_s, entry.expires_s) == (clock(), clock() + 90.0)
        assert entry.signature == signature("write code")
        assert memory.hot.get(entry.key) is not None
        await memory.writer.drain()
        data = await at.store.get(entry.key)
        assert data is not None
        assert decode_payload(data) == memory.hot.get(entry.key)
        assert entry.size_bytes == memory.hot.size_bytes == len(data)
        record = (await records(at.store))[entry.key]
        assert record.partition == entry.partition
        assert record.principal == at.engine.identity.scoping.principal(asked.headers)
        assert (record.category, record.ttl_s, record.size_bytes) == ("code", 90.0, len(data))
        clock.advance(90.0)
        assert await records(at.store) == {}


async def test_a_full_queue_refuses_and_keeps_nothing(clock: FakeClock) -> None:
    async with running(clock, write_limit=1) as at:
        gate = at.store.gates["put"] = asyncio.Event()
        assert isinstance(await fill(at.engine, request("one")), Admit)
        assert await fill(at.engine, request("two")) == Refuse(Reason.BACKLOG)
        gate.set()
        assert len(at.engine.memory.table) == len(at.engine.memory.hot) == 1
        await at.engine.memory.writer.drain()
        assert len(await records(at.store)) == 1


async def test_what_is_evicted_leaves_hot_payloads_and_store_too(clock: FakeClock) -> None:
    async with running(clock, capacity=3) as at:
        prompts = ["alpha", "beta", "gamma", "delta", "epsilon"]
        await fill(at.engine, request("alpha"))
        await fill(at.engine, request("beta"))
        await fill(at.engine, request("gamma"))
        await found(at.engine, request("alpha"))  # used: now beta is the first to go
        await fill(at.engine, request("delta"))
        await fill(at.engine, request("epsilon"))
        kept = {entry.prompt for entry in at.engine.memory.table}
        assert kept == {"alpha", "delta", "epsilon"}
        assert at.seen.of(Removed) == [Removed(1, "evicted")] * 2
        await at.engine.memory.writer.drain()
        assert set(await records(at.store)) == set(keys(at.engine))
        assert len(at.engine.memory.hot) == 3
        for prompt in prompts:
            lead_or_hit = await at.engine.lookup(request(prompt))
            assert hasattr(lead_or_hit, "hit") == (prompt in kept)


async def test_removing_counts_what_the_table_knew_and_deletes_the_rest_too(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request("one"))
        await fill(at.engine, request("two"))
        await at.engine.memory.writer.drain()
        known = keys(at.engine)
        foreign = EntryKey(b"f" * 16)
        await at.store.put(foreign, b"payload", b"record", 60.0)
        assert at.engine.memory.remove([known[0], foreign], "purged") == 1
        assert at.seen.of(Removed) == [Removed(1, "purged")]
        assert at.engine.memory.remove([known[0]], "purged") == 0
        assert at.engine.memory.remove([], "purged") == 0
        assert at.seen.of(Removed) == [Removed(1, "purged")]
        await at.engine.memory.writer.drain()
        assert await at.store.get(foreign) is None
        assert list(await records(at.store)) == [known[1]]
        assert at.engine.memory.hot.get(known[0]) is None


async def test_expiry_forgets_here_and_leaves_the_store_to_itself(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request("the news"))
        await fill(at.engine, request("some code"))
        at.engine.memory.expire(clock())
        assert at.seen.of(Removed) == []
        clock.advance(300.0)
        at.engine.memory.expire(clock())
        assert [entry.category for entry in at.engine.memory.table] == ["code"]
        assert len(at.engine.memory.hot) == 1
        assert at.seen.of(Removed) == [Removed(1, "expired")]
        await at.engine.memory.writer.drain()
        assert "delete" not in at.store.calls


async def test_clearing_forgets_here_and_keeps_the_store(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request("one"))
        await at.engine.memory.writer.drain()
        at.engine.memory.clear()
        assert len(at.engine.memory.table) == len(at.engine.memory.hot) == 0
        assert len(await records(at.store)) == 1


async def test_an_adopted_record_is_found_by_meaning(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request("show the code for sorting a list"))
        await at.engine.memory.writer.drain()
        ((key, record),) = (await records(at.store)).items()
        at.engine.memory.clear()
        at.engine.memory.adopt(key, record)
        hit = (await found(at.engine, request("please show the code for sorting a list"))).hit
        assert hit.key == key
        assert hit.similarity == pytest.approx(0.95, abs=0.01)


async def test_a_vector_of_another_embedder_is_not_used_and_the_entry_is(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request("show the code for sorting a list"))
        await at.engine.memory.writer.drain()
        ((key, record),) = (await records(at.store)).items()
        at.engine.memory.clear()
        foreign = replace(record, embedder="another", vector=b"\0" * 7)
        at.engine.memory.adopt(key, foreign)
        assert keys(at.engine) == [key]
        assert at.engine.memory.table.indexes() == ()
        await found(at.engine, request("show the code for sorting a list"))
        await leading(at.engine, request("please show the code for sorting a list"))


async def test_an_entry_that_is_here_is_not_replaced_by_an_older_record(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request("one"))
        await at.engine.memory.writer.drain()
        ((key, record),) = (await records(at.store)).items()
        admitted = at.engine.memory.table.admission(key)
        at.engine.memory.adopt(key, replace(record, prompt="older"))
        assert at.engine.memory.table.admission(key) == admitted > 0


@pytest.mark.parametrize(
    "vector",
    [b"\0" * (2 * DIM - 1), b"\0" * 4, np.full(DIM, math.nan, "<f2").tobytes()],
    ids=["odd", "short", "nan"],
)
async def test_a_record_with_a_broken_vector_is_refused_whole(
    vector: bytes, clock: FakeClock
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request("one"))
        await at.engine.memory.writer.drain()
        ((key, record),) = (await records(at.store)).items()
        at.engine.memory.clear()
        with pytest.raises(CorruptRecord):
            at.engine.memory.adopt(key, replace(record, vector=vector))
        assert len(at.engine.memory.table) == 0


async def test_policies_may_know_of_a_candidate_what_the_entry_says(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request("write code", directives=Directives(ttl_s=9.0)))
        (entry,) = at.engine.memory.table
        near = at.engine.memory.table.neighbour(entry.key, 0.75, entry.partition)
        assert near is not None
        seen = near.read()
        assert (seen.key, seen.category, seen.prompt) == (entry.key, "code", "write code")
        assert (seen.similarity, seen.created_s, seen.ttl_s) == (0.75, clock(), 9.0)
        assert seen.signature == entry.signature
        assert (near.key, near.prompt) == (seen.key, seen.prompt)
