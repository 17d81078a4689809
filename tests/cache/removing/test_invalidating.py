"""Invalidating: gone everywhere, by whatever names it, and never back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kindcache.cache.asking.identity import Request
from kindcache.cache.engine import Engine
from kindcache.cache.entries.entry import (
    IndexRecord,
    Payload,
    decode_payload,
    decode_record,
    encode,
)
from kindcache.cache.errors import StoreError
from kindcache.cache.outcome import Aside, Follow, Found, Lead
from kindcache.cache.ports import EntryKey, Vector
from kindcache.cache.removing import invalidated
from kindcache.cache.removing.epoch import follow_epoch
from kindcache.cache.removing.invalidating import invalidate, invalidate_all, preview
from kindcache.cache.removing.invalidation import LEDGER, new
from kindcache.cache.removing.subject import ANY, Subject
from kindcache.cache.removing.sweeping import sweep
from kindcache.cache.settling import release, settle
from kindcache.policies.facts import Directives
from kindcache.policies.selecting import Selector
from kindcache.policies.verdict import Admit, Bypass, Reason, Refuse
from tests.cache.small_engine import (
    Running,
    TroubledStore,
    down,
    fill,
    leading,
    received,
    request,
    running,
    small_engine,
)
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

NEWS = Selector(categories=("news",))
DAY_S = 86_400.0


@asynccontextmanager
async def ready(clock: FakeClock, **options: Any) -> AsyncIterator[Running]:
    """An engine that knows what its store says of epoch and invalidations."""
    async with running(clock, **options) as at:
        await follow_epoch(at.engine)
        yield at


@asynccontextmanager
async def beside(at: Running, clock: FakeClock, **options: Any) -> AsyncIterator[Engine]:
    """Another process on the same store."""
    store = TroubledStore(clock)
    store.inner = at.store.inner
    engine, _ = small_engine(clock, store, at.embedder, **options)
    engine.memory.writer.start()
    await follow_epoch(engine)
    yield engine
    await engine.memory.writer.aclose(10.0)


async def reason(engine: Engine, asked: Request) -> Reason:
    outcome = await engine.lookup(asked)
    assert isinstance(outcome, Found | Lead), outcome
    if isinstance(outcome, Found):
        return outcome.hit.reason
    release(engine, outcome)
    return outcome.miss.reason


async def kept(at: Running) -> set[str]:
    """The prompts in the store."""
    return {decode_record(record).prompt async for _, record in at.store.inner.records()}


async def fill_all(engine: Engine, *asked: Request) -> None:
    for one in asked:
        assert isinstance(await fill(engine, one), Admit)
    await engine.memory.writer.drain()


async def vector(at: Running, text: str) -> Vector | None:
    return await at.embedder.embed(text)


def tagged(prompt: str, *tags: str, **fields: Any) -> Request:
    return request(prompt, directives=Directives(tags=tags), **fields)


def subject(engine: Engine, owner: str, user: str = "") -> str:
    scoping = engine.identity.scoping
    principal = scoping.principal([(b"authorization", owner.encode())])
    assert principal is not None
    return Subject(principal, scoping.name(b"user", principal, user) or ANY).packed().hex()


ALL = {"the news", "some code", "what is mine", "of ann", "other model"}


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        ({"categories": ("news",)}, {"the news"}),
        ({"categories": ("news", "code")}, {"the news", "some code"}),
        ({"tags": ("v1",)}, {"some code"}),
        ({"models": ("other-*",)}, {"other model"}),
        ({"pattern": "(?i)^(the|some) "}, {"the news", "some code"}),
        ({"created_before_s": 1_700_000_050.0}, {"the news"}),
        ({"pattern": "some", "tags": ("v2",)}, set()),
        ({"owner": "bob"}, {"what is mine"}),
        ({"owner": "alice", "user": "ann"}, {"of ann"}),
        ({"entry": "some code"}, {"some code"}),
        ({"like": "the news", "at_least": 0.9}, {"the news"}),
    ],
)
async def test_it_takes_what_it_names_and_nothing_else(
    clock: FakeClock, fields: dict[str, Any], gone: set[str]
) -> None:
    async with ready(clock) as at:
        asked = {
            "the news": request("the news"),
            "some code": tagged("some code", "v1"),
            "what is mine": request("what is mine", "bob"),
            "of ann": request("of ann", user="ann"),
            "other model": request(
                "other model", model="other-1", frame={"model": "other-1", "messages": []}
            ),
        }
        await fill_all(at.engine, asked["the news"])
        clock.advance(100.0)
        await fill_all(at.engine, *list(asked.values())[1:])
        fields = dict(fields)
        if "owner" in fields:
            fields["whose"] = (subject(at.engine, fields.pop("owner"), fields.pop("user", "")),)
        if "entry" in fields:
            ask = at.engine.identity.identify(asked[fields.pop("entry")], at.engine.epoch or b"")
            assert ask is not None
            fields["entries"] = (ask.key.hex(),)
        like = await vector(at, fields["like"]) if "like" in fields else None
        selector = Selector(**fields)
        assert (await preview(at.engine, selector, like)).total == len(gone)
        assert await kept(at) == ALL
        tally = await invalidate(at.engine, selector, like)
        assert tally.total == len(gone)
        assert {one.prompt for one in tally.examples} == gone
        assert await kept(at) == ALL - gone
        for prompt, one in asked.items():
            assert (await reason(at.engine, one) is Reason.EXACT) is (prompt not in gone)
        for prompt in gone:  # what is asked now stays
            await fill_all(at.engine, asked[prompt])
            assert await reason(at.engine, asked[prompt]) is Reason.EXACT
        assert (await sweep(at.engine)) == 0


async def test_it_is_out_of_reach_before_the_store_knows(clock: FakeClock) -> None:
    async with ready(clock) as at:
        await fill_all(at.engine, request("the news"))
        gate = at.store.gates["count"] = asyncio.Event()
        task = asyncio.create_task(invalidate(at.engine, NEWS, None))
        await at.store.called("count", 2)  # the first noted the generation
        assert await reason(at.engine, request("the news")) is not Reason.EXACT
        gate.set()
        assert (await task).total == 1


async def test_a_question_under_way_is_not_stored(clock: FakeClock) -> None:
    async with ready(clock) as at:
        lead = await leading(at.engine, request("the news"))
        other = await leading(at.engine, request("some code"))
        await invalidate(at.engine, NEWS, None)
        assert settle(at.engine, lead, received()) == Refuse(Reason.INVALIDATED)
        assert isinstance(settle(at.engine, other, received()), Admit)
        await at.engine.memory.writer.drain()
        assert await kept(at) == {"some code"}


async def test_a_call_in_progress_is_not_shared_with_who_asks_afterwards(clock: FakeClock) -> None:
    async with ready(clock) as at:
        lead = await leading(at.engine, request("the news"))
        follower = await at.engine.lookup(request("the news"))
        assert isinstance(follower, Follow)
        await invalidate(at.engine, NEWS, None)
        after = await leading(at.engine, request("the news"))
        release(at.engine, lead)
        assert await follower.flight.wait() is None
        assert isinstance(settle(at.engine, after, received("new")), Admit)
        assert await reason(at.engine, request("the news")) is Reason.EXACT


async def test_a_late_write_of_who_did_not_know_is_never_served(clock: FakeClock) -> None:
    """Not even where its clock runs ahead."""
    ahead = FakeClock(clock.now_s + 100.0)
    async with ready(clock) as at, beside(at, ahead) as other:
        lead = await leading(other, request("the news"))
        await invalidate(at.engine, Selector(pattern="news"), None)
        later = await leading(other, request("more news"))  # it has not heard yet
        assert isinstance(settle(other, lead, received()), Admit)
        assert isinstance(settle(other, later, received()), Admit)
        await other.memory.writer.drain()
        assert await kept(at) == {"the news", "more news"}
        for prompt in ("the news", "more news"):
            assert await reason(at.engine, request(prompt)) is Reason.INVALIDATED
        assert await reason(other, request("the news")) is Reason.EXACT  # it has not heard
        await follow_epoch(other)
        assert await reason(other, request("the news")) is not Reason.EXACT
        assert not other.memory.hot.keys_of(None)
        async with beside(at, clock) as third:
            assert await reason(third, request("more news")) is not Reason.EXACT
        await fill_all(other, request("the news"))  # it knows by now
        clock.advance(100.0)
        assert await reason(at.engine, request("the news")) is Reason.EXACT


async def test_what_came_after_one_is_not_kept_from_the_next(clock: FakeClock) -> None:
    async with ready(clock) as at:
        for _ in range(3):
            await fill_all(at.engine, request("the news"))
            assert (await invalidate(at.engine, NEWS, None)).total == 1
            clock.advance(1)
        assert len(at.engine.invalidated) == 1
        assert sum("|" in name for name in await at.store.counts(LEDGER)) == 1


async def test_a_later_age_takes_the_place_of_an_earlier_one(clock: FakeClock) -> None:
    async with ready(clock) as at:
        for bound_s in (10.0, 20.0, 15.0):
            aged = Selector(categories=("news",), created_before_s=clock() + bound_s)
            await invalidate(at.engine, aged, None)
        assert len(at.engine.invalidated) == 2
        await invalidate(at.engine, NEWS, None)
        assert len(at.engine.invalidated) == 1


async def test_everything_goes_in_one_step_and_for_all(clock: FakeClock) -> None:
    async with ready(clock) as at, beside(at, clock) as other:
        await fill_all(at.engine, request("the news"), request("some code"))
        lead = await leading(other, request("too late"))
        before = at.engine.epoch
        clock.advance(1)
        tally = await invalidate_all(at.engine)
        assert dict(tally.by_category) == {"news": 1, "code": 1}
        assert at.engine.epoch != before
        assert await kept(at) == set()
        settle(other, lead, received())
        await other.memory.writer.drain()
        assert await reason(at.engine, request("too late")) is Reason.NEW
        await follow_epoch(other)
        assert other.epoch == at.engine.epoch
        await fill_all(other, request("the news"))
        assert await reason(at.engine, request("the news")) is Reason.EXACT


async def test_a_store_that_lost_all_is_cold_and_so_is_one_that_lost_the_ledger(
    clock: FakeClock,
) -> None:
    for lost in ("_counters", "_meta"):
        async with ready(clock) as at:
            lead = await leading(at.engine, request("late"))
            assert isinstance(settle(at.engine, lead, received()), Admit)
            await invalidate(at.engine, Selector(pattern="late"), None)
            await fill_all(at.engine, request("some code"))
            record, payload = await stored(at, "some code")
            getattr(at.store.inner, lost).clear()
            async with beside(at, clock) as fresh:
                assert fresh.epoch != at.engine.epoch
                assert await reason(fresh, request("some code")) is Reason.NEW
                assert await follow_epoch(at.engine)
                assert at.engine.epoch == fresh.epoch
            assert record.prompt == payload.prompt == "some code"


async def stored(at: Running, prompt: str) -> tuple[IndexRecord, Payload]:
    async for key, data in at.store.inner.records():
        record = decode_record(data)
        if record.prompt == prompt:
            return record, decode_payload(await at.store.inner.get(key) or b"")
    raise AssertionError(prompt)


async def test_a_store_set_back_to_its_past_is_cold(clock: FakeClock) -> None:
    """As after a failover to a copy that had not heard of the new generation."""
    async with ready(clock) as at:
        await fill_all(at.engine, request("the news"))
        past = await at.store.counts(LEDGER)
        rows = dict(at.store.inner._rows)
        clock.advance(1)
        await invalidate_all(at.engine)
        at.store.inner._counters[LEDGER] = past
        at.store.inner._rows = rows
        await follow_epoch(at.engine)
        assert await reason(at.engine, request("the news")) is Reason.NEW
        async with beside(at, clock) as fresh:
            assert fresh.epoch == at.engine.epoch


async def test_what_the_store_has_lost_it_is_told_again(clock: FakeClock) -> None:
    async with ready(clock) as at:
        await invalidate(at.engine, NEWS, None)
        await follow_epoch(at.engine)
        names = await at.store.counts(LEDGER)
        (lost,) = [name for name in names if "|" in name]
        await at.store.uncount(LEDGER, [lost])
        await follow_epoch(at.engine)
        assert await at.store.counts(LEDGER) == names


async def test_a_store_that_fails_leaves_it_in_force_and_is_told_later(clock: FakeClock) -> None:
    async with ready(clock) as at:
        await fill_all(at.engine, request("the news"))
        at.store.troubles["count"] = down()
        with pytest.raises(StoreError):
            await invalidate(at.engine, NEWS, None)
        assert await reason(at.engine, request("the news")) is not Reason.EXACT
        assert at.engine.invalidated.due
        at.store.troubles.clear()
        await at.engine.invalidated.send(at.store)
        async with beside(at, clock) as other:
            assert len(other.invalidated) == 1
        await sweep(at.engine)
        assert not at.engine.invalidated.due
        assert await kept(at) == set()


async def test_entries_of_before_it_was_kept_who_asked_are_read_and_go_in_doubt(
    clock: FakeClock,
) -> None:
    async with ready(clock) as at:
        await fill_all(at.engine, request("some code"), request("the news"))
        async for key, data in at.store.inner.records():
            payload = decode_payload(await at.store.inner.get(key) or b"")
            old = replace(payload, model=None, whose=b"", tags=())
            record = replace(decode_record(data), model=None, principal=b"")
            await at.store.inner.put(key, encode(old), encode(record), 3600.0)
        at.engine.memory.clear()
        assert await reason(at.engine, request("some code")) is Reason.EXACT
        selector = Selector(models=("of another name",), categories=("code",))
        assert (await invalidate(at.engine, selector, None)).total == 1
        assert await kept(at) == {"the news"}


async def test_an_entry_without_a_vector_is_compared_when_it_is_asked_for(
    clock: FakeClock,
) -> None:
    async with ready(clock) as at:
        near, far = request("a letter of mine"), request("quite another letter, unlike that")
        await fill_all(at.engine, near, far)
        alike = Selector(like="a letter of mine", at_least=0.95)
        tally = await invalidate(at.engine, alike, await vector(at, alike.like))
        assert (tally.total, tally.undecided) == (0, 2)
        assert await reason(at.engine, far) is Reason.EXACT
        assert await reason(at.engine, near) is Reason.INVALIDATED
        await at.engine.memory.writer.drain()
        assert await kept(at) == {far.call.prompt}
        await fill_all(at.engine, near)
        at.engine.memory.hot.discard(at.engine.memory.hot.keys_of(None)[-1])
        assert await reason(at.engine, near) is Reason.EXACT


async def test_past_the_limit_everything_goes_and_room_is_made(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidated, "LIMIT", 3)
    async with ready(clock) as at, beside(at, clock) as other:
        await fill_all(at.engine, request("some code"))
        for number in range(3):
            tally = await invalidate(at.engine, Selector(pattern=f"x{number}"), None)
            assert not tally.everything
        clock.advance(1)
        assert (await invalidate(at.engine, NEWS, None)).everything
        assert await reason(at.engine, request("some code")) is Reason.NEW
        assert len(at.engine.invalidated) == 0
        await follow_epoch(other)
        assert other.epoch == at.engine.epoch
        assert len(other.invalidated) == 0
        assert len(await at.store.counts(LEDGER)) == 1


async def test_single_entries_do_not_use_up_the_room(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidated, "LIMIT", 3)
    async with ready(clock) as at:
        await fill_all(at.engine, request("some code"))
        for number in range(20):
            name = EntryKey(bytes([number]) * 16).hex()
            assert not (await invalidate(at.engine, Selector(entries=(name,)), None)).everything
        assert await reason(at.engine, request("some code")) is Reason.EXACT


async def test_it_expires_once_nothing_of_before_can_live(clock: FakeClock) -> None:
    async with ready(clock) as at:
        await invalidate(at.engine, NEWS, None)
        clock.advance(30 * DAY_S)
        await follow_epoch(at.engine)
        assert len(at.engine.invalidated) == 1
        clock.advance(8 * DAY_S)
        await follow_epoch(at.engine)
        assert len(at.engine.invalidated) == 0
        assert len(await at.store.counts(LEDGER)) == 1


async def test_one_that_this_version_cannot_read_names_everything(clock: FakeClock) -> None:
    async with ready(clock) as at:
        await fill_all(at.engine, request("some code"))
        told = f'{"ab" * 8}@{int(clock() + 60)}|{{"categories": 3}}'
        await at.store.count(LEDGER, {told: 1})
        await follow_epoch(at.engine)
        assert await reason(at.engine, request("some code")) is not Reason.EXACT
        await fill_all(at.engine, request("some code"))
        assert await reason(at.engine, request("some code")) is Reason.EXACT


async def test_a_ledger_that_has_not_changed_costs_little_to_read_each_second(
    clock: FakeClock,
) -> None:
    async with ready(clock) as at:
        entries = (number.to_bytes(16, "big").hex() for number in range(2000))
        made = [new(Selector(entries=(entry,)), None, clock() + DAY_S) for entry in entries]
        await at.store.count(LEDGER, {one.name: 1 for one in made})
        took_s = []
        for _ in range(4):
            before_s = time.perf_counter()
            await follow_epoch(at.engine)
            took_s.append(time.perf_counter() - before_s)
        assert len(at.engine.invalidated) == 2000
        assert min(took_s[1:]) < took_s[0] / 10  # usually a five-hundredth
        clock.advance(2 * DAY_S)
        await follow_epoch(at.engine)
        assert len(at.engine.invalidated) == 0


@pytest.mark.parametrize("failing", ["claim", "counts", "count", "uncount"])
async def test_everything_goes_here_at_once_although_the_store_fails(
    clock: FakeClock, failing: str
) -> None:
    async with ready(clock) as at, beside(at, clock) as other:
        await fill_all(at.engine, request("some code"))
        before = at.engine.epoch
        at.store.troubles[failing] = down()
        with pytest.raises(StoreError):
            await invalidate_all(at.engine)
        outcome = await at.engine.lookup(request("some code"))
        assert outcome == Aside(Bypass(Reason.STARTING))
        with pytest.raises(StoreError):  # so does the upkeep
            await follow_epoch(at.engine)
        del at.store.troubles[failing]
        await follow_epoch(at.engine)
        assert at.engine.epoch != before
        assert await reason(at.engine, request("some code")) is Reason.NEW
        await follow_epoch(other)
        assert await reason(other, request("some code")) is Reason.NEW


async def test_an_answer_on_its_way_is_not_served_once_everything_went(clock: FakeClock) -> None:
    async with ready(clock) as at:
        await fill_all(at.engine, request("some code"))
        at.engine.memory.clear()
        gate = at.store.gates["get"] = asyncio.Event()
        reading = asyncio.create_task(reason(at.engine, request("some code")))
        await at.store.called("get")
        await invalidate_all(at.engine)
        gate.set()
        assert await reading is Reason.NEW
