"""The request path: which situation ends in which outcome, and for which reason."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from kindcache.cache.asking.identity import Request
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.entries.entry import Payload
from kindcache.cache.events import Failed, LookedUp
from kindcache.cache.outcome import Aside, Follow, Found, Lead
from kindcache.cache.ports import EntryKey
from kindcache.cache.settling import release, settle
from kindcache.policies.facts import Directives, Origin
from kindcache.policies.verdict import Reason, Tier
from tests.cache.small_engine import (
    DIM,
    batcher,
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


@dataclass(frozen=True)
class Case:
    """A request after ``CODE`` was answered, and what it ends in."""

    name: str
    asked: Request
    kind: type[Found | Lead | Aside]
    reason: Reason
    category: str = "code"


def _rule_by_header() -> Request:
    plain = request("hello")
    return Request(plain.call, plain.target, plain.headers, Origin({"x-cache-category": "letter"}))


CASES = [
    Case("the same", request(CODE), Found, Reason.EXACT),
    Case("the same, by others' white space", request(f" {CODE}\r\n"), Found, Reason.EXACT),
    Case("the same, streamed", request(CODE, stream=True), Found, Reason.EXACT),
    Case("in other words", request(SAME_CODE), Found, Reason.SEMANTIC),
    Case(
        "no-store reads", request(CODE, directives=Directives(no_store=True)), Found, Reason.EXACT
    ),
    Case("far away", request("what does this code do"), Lead, Reason.BELOW_THRESHOLD),
    Case("its opposite", request("do not " + CODE), Lead, Reason.GUARD),
    Case("another owner", request(CODE, owner="bob"), Lead, Reason.NEW),
    Case("another user", request(CODE, user="u"), Lead, Reason.NEW),
    Case("another frame", request(CODE, frame={"model": "n"}), Lead, Reason.NEW),
    Case("of another kind", request("the news"), Lead, Reason.BELOW_THRESHOLD, "news"),
    Case("of no kind", request("hello"), Lead, Reason.BELOW_THRESHOLD, "default"),
    Case("kind by trusted header", _rule_by_header(), Lead, Reason.EXACT_ONLY, "letter"),
    Case("longer than the window", request(LONG), Lead, Reason.OVER_WINDOW),
    Case("with tools", request("code", has_tools=True), Lead, Reason.EXACT_ONLY),
    Case("several choices", request("code", choices=2), Lead, Reason.EXACT_ONLY),
    Case(
        "no last text", request("", ends_with_user_text=False), Lead, Reason.EXACT_ONLY, "default"
    ),
    Case("hot", request("code", temperature=1.5), Lead, Reason.EXACT_ONLY),
    Case("seeded", request("code", seeded=True), Lead, Reason.EXACT_ONLY),
    Case("kind of exact words only", request("a letter"), Lead, Reason.EXACT_ONLY, "letter"),
    Case(
        "no-cache",
        request(CODE, directives=Directives(no_cache=True)),
        Lead,
        Reason.CLIENT_NO_CACHE,
    ),
    Case(
        "too old for the client",
        request(CODE, directives=Directives(max_age_s=5.0)),
        Lead,
        Reason.CLIENT_FRESHNESS,
    ),
    Case(
        "too old for the client, in other words",
        request(SAME_CODE, directives=Directives(max_age_s=5.0)),
        Lead,
        Reason.CLIENT_FRESHNESS,
    ),
    Case(
        "usage asked, none stored",
        request(CODE, stream=True, wants_usage=True),
        Lead,
        Reason.USAGE_UNKNOWN,
    ),
    Case("nobody", request(CODE, owner=""), Aside, Reason.ANONYMOUS, ""),
    Case("kind not cached", request("a secret"), Aside, Reason.CATEGORY, "secret"),
    Case("sampled", request("draw one", seeded=True), Aside, Reason.SAMPLING, "drawn"),
    Case(
        "client bypass", request(CODE, directives=Directives(bypass=True)), Aside, Reason.CLIENT, ""
    ),
    Case(
        "neither read nor written",
        request(CODE, directives=Directives(no_cache=True, no_store=True)),
        Aside,
        Reason.CLIENT,
        "",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_situations(case: Case, clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE), "sorted(list)")
        clock.advance(10.0)
        at.seen.events.clear()
        outcome = await at.engine.lookup(case.asked)
        assert type(outcome) is case.kind
        (event,) = at.seen.of(LookedUp)
        assert event.verdict.reason is case.reason
        assert event.verdict.category == case.category
        assert not event.collapsed
        if isinstance(outcome, Found):
            assert outcome.payload.answer.choices[0].text == "sorted(list)"
            assert (outcome.hit.age_s, outcome.hit.ttl_s) == (10.0, 86_390.0)
            assert outcome.hit.key == at.engine.memory.table.get(EntryKey(outcome.hit.key)).key  # type: ignore[union-attr]
        if isinstance(outcome, Lead):
            assert outcome.write == (not case.asked.call.directives.no_store)
            release(at.engine, outcome)
        assert len(at.engine.flights) == 0
        assert at.seen.of(Failed) == []


async def test_a_hit_in_other_words_says_how_near_and_against_which_bar(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE))
        hit = (await found(at.engine, request(SAME_CODE))).hit
        first, second = HashingEncoder(DIM).encode([CODE, SAME_CODE]).vectors
        assert hit.tier is Tier.SEMANTIC
        assert hit.similarity == pytest.approx(float(first @ second), abs=1e-3)
        assert hit.threshold == 0.5
        miss = (await leading(at.engine, request("what does this code do"))).miss
        assert miss.similarity is not None
        assert miss.threshold == 0.5
        assert miss.similarity < 0.5


async def test_it_stands_aside_until_it_has_an_epoch(clock: FakeClock) -> None:
    async with running(clock) as at:
        at.engine.epoch = None
        outcome = await at.engine.lookup(request(CODE))
        assert isinstance(outcome, Aside)
        assert outcome.bypass.reason is Reason.STARTING


async def test_a_new_epoch_knows_nothing_of_the_old(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE))
        at.engine.epoch = b"another"
        assert (await leading(at.engine, request(CODE))).miss.reason is Reason.NEW


async def test_what_nobody_foresaw_passes_the_call_through_and_is_counted(clock: FakeClock) -> None:
    async with running(clock) as at:
        at.store.troubles["get"] = ZeroDivisionError()
        outcome = await at.engine.lookup(request(CODE))
        assert isinstance(outcome, Aside)
        assert outcome.bypass.reason is Reason.INTERNAL
        assert at.seen.of(Failed) == [Failed("lookup", "ZeroDivisionError")]
        assert len(at.engine.flights) == 0


async def test_cancelling_a_lookup_cancels_it_and_leaves_nothing(clock: FakeClock) -> None:
    async with running(clock) as at:
        at.store.gates["get"] = asyncio.Event()
        task = asyncio.create_task(at.engine.lookup(request(CODE)))
        await at.store.called("get")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(at.engine.flights) == 0
        assert at.seen.events == []


# Usage


@pytest.mark.parametrize("words", [CODE, SAME_CODE])
async def test_who_asks_for_usage_gets_an_answer_that_has_it(words: str, clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE), usage={"total_tokens": 7})
        asked = request(words, stream=True, wants_usage=True)
        assert (await found(at.engine, asked)).payload.answer.usage == {"total_tokens": 7}


# In flight


async def test_an_equal_call_follows_the_one_in_flight(clock: FakeClock) -> None:
    async with running(clock) as at:
        lead = await leading(at.engine, request(CODE, stream=True))
        assert lead.flight is not None
        assert lead.flight.rendering == (True, False)
        at.seen.events.clear()
        follow = await at.engine.lookup(request(CODE))
        assert isinstance(follow, Follow)
        assert follow.flight is lead.flight
        (event,) = at.seen.of(LookedUp)
        assert event.collapsed
        assert event.verdict.reason is Reason.NEW
        settle(at.engine, lead, received("shared"))
        shared = await follow.flight.wait()
        assert isinstance(shared, Payload)
        assert shared.answer.choices[0].text == "shared"
        assert len(at.engine.flights) == 0


@pytest.mark.parametrize(
    "asked",
    [
        request(CODE, owner="bob"),
        request(CODE, temperature=0.5),
        request(CODE, directives=Directives(no_cache=True)),
        request("code"),
    ],
    ids=["another's", "sampled", "no-cache", "another question"],
)
async def test_who_may_not_share_leads(asked: Request, clock: FakeClock) -> None:
    async with running(clock) as at:
        first = await leading(at.engine, request(CODE))
        second = await leading(at.engine, asked)
        assert second.flight is not first.flight


async def test_two_that_search_at_once_make_one_call(clock: FakeClock) -> None:
    gated = GatedEncoder(HashingEncoder(DIM))
    gated.gate.clear()
    async with running(clock, embedder=batcher(gated)) as at:
        tasks = [asyncio.create_task(at.engine.lookup(request(CODE))) for _ in range(5)]
        await asyncio.to_thread(gated.entered.acquire)
        gated.gate.set()
        outcomes = await asyncio.gather(*tasks)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Follow"] * 4 + ["Lead"]


async def test_one_that_began_during_a_search_in_the_store_is_followed(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE))
        await at.engine.memory.writer.drain()
        (entry,) = at.engine.memory.table
        await at.store.inner.delete([entry.key])
        at.engine.memory.hot.discard(entry.key)
        asked = request(SAME_CODE)
        calls = at.store.calls.count("get")
        task = asyncio.create_task(at.engine.lookup(asked))
        await at.store.called("get", calls + 1)  # its own key
        gate = at.store.gates["get"] = asyncio.Event()
        await at.store.called("get", calls + 2)  # its neighbour's payload
        del at.store.gates["get"]
        other = await leading(at.engine, asked)
        gate.set()
        outcome = await task
        assert isinstance(outcome, Follow)
        assert outcome.flight is other.flight


async def test_traces_tell_which_stages_were_entered(clock: FakeClock) -> None:
    async with running(clock, hot_bytes=0) as at:
        await fill(at.engine, request(CODE))
        await at.engine.memory.writer.drain()
        exact = (await found(at.engine, request(CODE))).trace
        assert exact.store_s > 0
        assert exact.embed_s == exact.search_s == 0
        semantic = (await found(at.engine, request(SAME_CODE))).trace
        assert min(semantic.embed_s, semantic.search_s, semantic.store_s) > 0
        assert semantic.total_s >= semantic.embed_s + semantic.search_s + semantic.store_s


async def test_a_lead_carries_the_vector_of_its_prompt(clock: FakeClock) -> None:
    async with running(clock) as at:
        lead = await leading(at.engine, request(CODE))
        assert lead.vector is not None
        np.testing.assert_array_equal(lead.vector, HashingEncoder(DIM).encode([CODE]).vectors[0])
        assert (await leading(at.engine, request("code", has_tools=True))).vector is None
        undecided = await leading(at.engine, request("hello", has_tools=True))
        assert undecided.vector is None
