"""Erasing: gone for good, for one subject, whatever was under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kindcache.cache.asking.identity import Request
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.engine import Engine
from kindcache.cache.entries.entry import decode_record
from kindcache.cache.errors import StoreError
from kindcache.cache.examples import Examples
from kindcache.cache.learning.blocked import pair
from kindcache.cache.lifecycle import Lifecycle
from kindcache.cache.outcome import Aside, Found, Lead
from kindcache.cache.ports import EntryKey, Store
from kindcache.cache.removing import invalidated
from kindcache.cache.removing.epoch import follow_epoch
from kindcache.cache.removing.invalidating import erase, invalidate, invalidate_all
from kindcache.cache.removing.invalidation import LEDGER
from kindcache.cache.removing.subject import ANY, Subject
from kindcache.cache.removing.sweeping import sweep
from kindcache.cache.settling import release, settle
from kindcache.cache.stale import as_miss
from kindcache.policies.facts import Directives
from kindcache.policies.selecting import Selector
from kindcache.policies.verdict import Admit, Reason, Refuse
from tests.cache.small_engine import (
    DIM,
    Running,
    batcher,
    down,
    fill,
    found,
    leading,
    received,
    request,
    small_engine,
)
from tests.cache.small_engine import running as begun
from tests.conftest import FakeClock
from tests.drivers.gated import GatedEncoder

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(clock: FakeClock, **options: Any) -> AsyncIterator[Running]:
    """An engine that knows what its store says of epoch and erasures."""
    async with begun(clock, **options) as at:
        await follow_epoch(at.engine)
        yield at


async def noted(store: Store) -> list[str]:
    """What the ledger has of erasures."""
    return [name for name in await store.counts(LEDGER) if "!" in name]


def subject(engine: Engine, owner: str = "alice", user: str = "", namespace: str = "") -> Subject:
    scoping = engine.identity.scoping
    principal = scoping.principal([(b"authorization", owner.encode())])
    assert principal is not None
    return Subject(
        principal,
        scoping.name(b"user", principal, user) or ANY,
        scoping.name(b"namespace", principal, namespace) or ANY,
    )


async def reason(engine: Engine, asked: Request) -> Reason:
    outcome = await engine.lookup(asked)
    assert isinstance(outcome, Found | Lead)
    if isinstance(outcome, Found):
        return outcome.hit.reason
    release(engine, outcome)
    return outcome.miss.reason


async def kept(store: Store) -> set[str]:
    """The prompts in the store."""
    return {decode_record(record).prompt async for _, record in store.records()}


async def fill_all(at: Running, *asked: Request) -> None:
    for one in asked:
        assert isinstance(await fill(at.engine, one), Admit)
    await at.engine.memory.writer.drain()


async def test_it_takes_all_of_one_caller_and_nothing_of_another(clock: FakeClock) -> None:
    async with running(clock) as at:
        mine, yours = request("what is mine"), request("what is yours", "bob")
        await fill_all(at, mine, request("some code"), yours)
        assert (await erase(at.engine, subject(at.engine))).total == 2
        assert await kept(at.store) == {"what is yours"}
        assert await reason(at.engine, yours) is Reason.EXACT
        clock.advance(1)
        assert await reason(at.engine, mine) is Reason.NEW
        assert isinstance(await fill(at.engine, mine), Admit)
        assert await reason(at.engine, mine) is Reason.EXACT


async def test_memory_holds_no_copy(clock: FakeClock) -> None:
    async with running(clock) as at:
        stored, other = request("what is the colour of it"), request("what is the color of it")
        await fill_all(at, stored)
        hit = await found(at.engine, other)  # by meaning, which leaves an alias
        at.engine.blocked.add(pair(hit.ask, "what is the colour of it"))
        at.engine.blocked.withdraw(EntryKey(hit.hit.key), 0.0)
        await at.engine.blocked.send(at.store)
        assert len(at.engine.aliases) == 1
        await erase(at.engine, subject(at.engine))
        assert len(at.engine.memory.table) == len(at.engine.memory.hot) == 0
        assert len(at.engine.aliases) == len(at.engine.blocked) == 0
        for ledger in ("blocked", "withdrawn"):
            assert await at.store.counts(ledger) == {}


@pytest.mark.parametrize(
    ("named", "left"),
    [
        ({}, set()),
        ({"user": "ann"}, {"plain", "of ben", "here"}),
        ({"namespace": "n"}, {"plain", "of ann", "of ben"}),
        ({"user": "ann", "namespace": "n"}, {"plain", "of ann", "of ben", "here"}),
        ({"user": "nobody"}, {"plain", "of ann", "of ben", "here", "ann here"}),
    ],
)
async def test_a_user_or_a_namespace_of_a_caller(
    clock: FakeClock, named: dict[str, str], left: set[str]
) -> None:
    async with running(clock) as at:
        space: Any = {"directives": Directives(namespace="n")}
        asked = {
            "plain": request("plain"),
            "of ann": request("of ann", user="ann"),
            "of ben": request("of ben", user="ben"),
            "here": request("here", **space),
            "ann here": request("ann here", user="ann", **space),
        }
        await fill_all(at, *asked.values())
        await erase(at.engine, subject(at.engine, **named))
        assert await kept(at.store) == left
        for prompt, one in asked.items():
            assert (await reason(at.engine, one) is Reason.EXACT) == (prompt in left)


async def test_entries_of_an_epoch_that_was_lost_go_too(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill_all(at, request("an old one"))
        at.engine.epoch = b"another epoch"
        at.engine.memory.clear()
        assert (await erase(at.engine, subject(at.engine))).total == 1
        assert await kept(at.store) == set()


async def test_a_call_under_way_is_not_stored(clock: FakeClock) -> None:
    async with running(clock) as at:
        lead = await leading(at.engine, request("slow"))
        await erase(at.engine, subject(at.engine))
        clock.advance(5)
        assert settle(at.engine, lead, received()) == Refuse(Reason.INVALIDATED)
        await at.engine.memory.writer.drain()
        assert await kept(at.store) == set()
        assert len(at.engine.memory.hot) == 0


async def test_a_refresh_that_waits_for_the_embedder_is_not_begun(clock: FakeClock) -> None:
    gated = GatedEncoder(HashingEncoder(DIM))
    async with running(clock, embedder=batcher(gated)) as at:
        await fill_all(at, request("asked before"))
        hit = await found(at.engine, request("asked before"))
        while gated.entered.acquire(blocking=False):
            pass
        gated.gate.clear()
        waiting = asyncio.create_task(as_miss(at.engine, request("asked before"), hit))
        await asyncio.to_thread(gated.entered.acquire)
        await erase(at.engine, subject(at.engine))
        clock.advance(1)
        gated.gate.set()
        assert await waiting is None


async def test_a_write_that_waits_does_not_come_back(clock: FakeClock) -> None:
    async with running(clock) as at:
        gate = at.store.gates["put"] = asyncio.Event()
        await fill(at.engine, request("waiting"))
        erasing = asyncio.create_task(erase(at.engine, subject(at.engine)))
        await at.store.called("put")
        assert await reason(at.engine, request("waiting")) is not Reason.EXACT  # while it waits
        gate.set()
        await erasing
        assert await kept(at.store) == set()


async def test_an_answer_that_is_being_read_is_not_served_nor_kept(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill_all(at, request("read"))
        at.engine.memory.clear()
        gate = at.store.gates["get"] = asyncio.Event()
        reading = asyncio.create_task(reason(at.engine, request("read")))
        await at.store.called("get")
        await erase(at.engine, subject(at.engine))
        gate.set()
        assert await reading in {Reason.INVALIDATED, Reason.NEW}
        del at.store.gates["get"]
        clock.advance(1)
        assert await reason(at.engine, request("read")) is not Reason.EXACT


async def test_another_process_follows_and_what_it_wrote_late_goes(clock: FakeClock) -> None:
    async with running(clock) as at:
        other, _ = small_engine(clock, at.store, at.embedder)
        other.memory.writer.start()
        await follow_epoch(other)
        await fill_all(at, request("known to both"), request("bob's", "bob"))
        await found(other, request("known to both"))  # hot there
        late = await leading(other, request("late"))
        await erase(at.engine, subject(at.engine))
        settle(other, late, received())  # it has not heard yet
        await other.memory.writer.drain()
        assert await kept(at.store) == {"late", "bob's"}
        await follow_epoch(other)
        for prompt in ("known to both", "late"):  # before any sweep
            assert await reason(other, request(prompt)) is not Reason.EXACT
        assert other.invalidated.erasing_due
        await sweep(other)
        assert await kept(at.store) == {"bob's"}
        assert len(other.memory.hot) == 0
        assert await reason(other, request("bob's", "bob")) is Reason.EXACT
        await other.memory.writer.aclose(10.0)


async def test_a_restart_knows(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill_all(at, request("late"))
        [(key, record)] = [item async for item in at.store.records()]
        payload = await at.store.get(key)
        assert payload is not None
        await erase(at.engine, subject(at.engine))
        await at.store.put(key, payload, record, 3600.0)  # by a process that has ended since
        again, _ = small_engine(clock, at.store, at.embedder)
        again.memory.writer.start()
        lifecycle = Lifecycle(again, Examples())
        await follow_epoch(again)
        await lifecycle.load()
        assert len(again.memory.table) == 0
        assert await reason(again, request("late")) is Reason.INVALIDATED
        assert again.invalidated.due
        assert not again.invalidated.erasing_due  # nothing is held here
        await sweep(again)
        assert await kept(at.store) == set()
        await again.memory.writer.aclose(10.0)


@pytest.mark.parametrize("failing", ["count", "records", "delete", "scrub"])
async def test_a_store_that_fails_is_said_and_nothing_is_served(
    clock: FakeClock, failing: str
) -> None:
    async with running(clock) as at:
        await fill_all(at, request("mine"))
        at.store.troubles[failing] = down()
        with pytest.raises(StoreError):
            await erase(at.engine, subject(at.engine))
        assert await reason(at.engine, request("mine")) is not Reason.EXACT
        del at.store.troubles[failing]
        assert at.engine.invalidated.erasing_due
        await erase(at.engine, subject(at.engine))
        assert await kept(at.store) == set()
        assert len(await noted(at.store)) == 1


async def test_a_notice_ends_and_says_nothing_of_the_names(clock: FakeClock) -> None:
    async with running(clock) as at:
        await erase(at.engine, subject(at.engine, user="ann"))
        [name] = await noted(at.store)
        assert "ann" not in name
        assert "alice" not in name
        assert subject(at.engine).principal.hex() not in name  # keys of entries are made of it
        clock.advance(36 * 86_400.0)
        await follow_epoch(at.engine)
        assert len(await noted(at.store)) == 1
        clock.advance(2 * 86_400.0)
        await follow_epoch(at.engine)
        assert len(at.engine.invalidated) == 0
        assert await noted(at.store) == []


async def test_a_scrub_that_failed_is_made_up_for_by_the_upkeep(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill_all(at, request("mine"))
        at.store.troubles["scrub"] = down()
        with pytest.raises(StoreError):
            await erase(at.engine, subject(at.engine))
        del at.store.troubles["scrub"]
        scrubs = at.store.calls.count("scrub")
        assert at.engine.invalidated.erasing_due
        await sweep(at.engine)
        assert at.store.calls.count("scrub") == scrubs + 1
        assert not at.engine.invalidated.erasing_due
        await sweep(at.engine)
        assert at.store.calls.count("scrub") == scrubs + 1


async def test_a_file_is_written_anew_once_for_each_erasure(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill_all(at, request("mine"))
        await erase(at.engine, subject(at.engine))
        assert at.store.calls.count("scrub") == 1


async def test_one_that_begins_during_another_and_fails_is_still_due(clock: FakeClock) -> None:
    async with running(clock) as at:
        gate = at.store.gates["scrub"] = asyncio.Event()
        first = asyncio.create_task(erase(at.engine, subject(at.engine, "bob")))
        await at.store.called("scrub")
        at.store.troubles["records"] = down()
        with pytest.raises(StoreError):
            await erase(at.engine, subject(at.engine))
        del at.store.troubles["records"]
        gate.set()
        await first
        assert at.engine.invalidated.erasing_due
        assert at.engine.invalidated.scrub_due


async def test_a_notice_that_could_not_be_sent_is_sent_at_the_end(clock: FakeClock) -> None:
    async with running(clock) as at:
        at.store.troubles["count"] = down()
        with pytest.raises(StoreError):
            await erase(at.engine, subject(at.engine))
        del at.store.troubles["count"]
        lifecycle = Lifecycle(at.engine, Examples())
        await lifecycle._flush_blocked()
        assert len(await noted(at.store)) == 1


@pytest.mark.parametrize("ahead_s", [-3600.0, 0.0, 3600.0])
async def test_a_late_write_goes_whatever_the_clock_of_its_process(
    clock: FakeClock, ahead_s: float
) -> None:
    async with running(clock) as at:
        other, _ = small_engine(FakeClock(clock() + ahead_s), at.store, at.embedder)
        other.memory.writer.start()
        await follow_epoch(other)
        late = await leading(other, request("late"))
        await erase(at.engine, subject(at.engine))
        settle(other, late, received())  # it has not heard yet
        await other.memory.writer.drain()
        assert await kept(at.store) == {"late"}
        assert await reason(at.engine, request("late")) is Reason.INVALIDATED
        await follow_epoch(other)
        assert await reason(other, request("late")) is not Reason.EXACT
        for engine in (at.engine, other):
            await sweep(engine)
        assert await kept(at.store) == set()
        assert isinstance(await fill(other, request("asked anew")), Admit)
        await other.memory.writer.drain()
        other.memory.clear()
        assert await reason(other, request("asked anew")) is Reason.EXACT
        await other.memory.writer.aclose(10.0)


async def test_a_late_write_that_is_found_is_swept_with_all_that_was_made_of_it(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await fill_all(at, request("late"))
        [(key, record)] = [item async for item in at.store.records()]
        payload = await at.store.get(key)
        assert payload is not None
        await erase(at.engine, subject(at.engine))
        await at.store.put(key, payload, record, 3600.0)
        at.engine.blocked.withdraw(key, 0.0)
        await at.engine.blocked.send(at.store)
        assert await reason(at.engine, request("late")) is Reason.INVALIDATED
        scrubs = at.store.calls.count("scrub")
        assert at.engine.invalidated.due
        await sweep(at.engine)
        assert await kept(at.store) == set()
        assert await at.store.counts("withdrawn") == {}
        assert at.store.calls.count("scrub") == scrubs + 1


async def test_everything_is_counted_whoever_removes_it(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill_all(at, request("one"), request("some code"), request("bob's", "bob"))
        at.engine.memory.clear()
        gate = at.store.gates["count"] = asyncio.Event()
        erasing = asyncio.create_task(erase(at.engine, subject(at.engine)))
        await at.store.called("count")
        await reason(at.engine, request("one"))  # a lookup meets it
        del at.store.gates["count"]
        await sweep(at.engine)  # and so does the upkeep
        assert await kept(at.store) == {"bob's"}
        gate.set()
        assert (await erasing).total == 2


async def test_the_next_one_past_the_limit_finds_room_and_nothing_is_served_meanwhile(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidated, "LIMIT_OF_ONE", 2)
    async with running(clock) as at:
        await fill_all(at, request("mine"), request("bob's", "bob"))
        for owner in ("carl", "dora"):
            await erase(at.engine, subject(at.engine, owner))
        assert await reason(at.engine, request("mine")) is Reason.EXACT
        at.store.troubles["count"] = down()
        with pytest.raises(StoreError):
            await erase(at.engine, subject(at.engine))
        assert isinstance(await at.engine.lookup(request("mine")), Aside)
        del at.store.troubles["count"]
        await erase(at.engine, subject(at.engine))
        assert await kept(at.store) == set()
        assert len(await noted(at.store)) == 1
        assert await reason(at.engine, request("bob's", "bob")) is not Reason.EXACT


async def test_it_is_remembered_when_everything_is_invalidated(clock: FakeClock) -> None:
    async with running(clock) as at:
        other, _ = small_engine(clock, at.store, at.embedder)
        other.memory.writer.start()
        await follow_epoch(other)
        late = await leading(other, request("late"))
        await erase(at.engine, subject(at.engine))
        clock.advance(1)
        await invalidate_all(at.engine)
        clock.advance(1)
        settle(other, late, received())
        await other.memory.writer.drain()
        await follow_epoch(other)
        await sweep(other)
        assert await kept(at.store) == set()
        await other.memory.writer.aclose(10.0)


async def test_invalidating_what_was_erased_does_not_make_it_less(clock: FakeClock) -> None:
    async with running(clock) as at:
        mine = subject(at.engine)
        await erase(at.engine, mine)
        await invalidate(at.engine, Selector(whose=(mine.packed().hex(),)), None)
        assert len(await noted(at.store)) == 1
        await erase(at.engine, mine)
        names = await at.store.counts(LEDGER)
        assert len([name for name in names if "@" in name]) == len(await noted(at.store)) == 1
