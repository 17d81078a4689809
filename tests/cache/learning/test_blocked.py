"""What is blocked is not served: no wording of it, in no order, by no way through the engine."""

from __future__ import annotations

import asyncio

import pytest

from kindcache.cache.deciding import Decider
from kindcache.cache.engine import Engine
from kindcache.cache.learning.blocked import Blocked, pair, wording
from kindcache.cache.outcome import Follow, Found
from kindcache.cache.ports import EntryKey, PartitionKey
from kindcache.cache.settling import release, settle
from kindcache.policies.verdict import Reason
from tests.cache.small_engine import (
    TroubledStore,
    anew,
    fill,
    found,
    leading,
    received,
    request,
    running,
)
from tests.cache.test_deciding import Scripted
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

STORED = "show the code for sorting a list"
ASKED = "please show the code for sorting a list"
HERE = PartitionKey(b"h" * 16)


def block(engine: Engine, outcome: Found) -> None:
    assert engine.blocked.add(pair(outcome.ask, outcome.payload.prompt))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I pay?", "how do I   pay"),
        ("Wie groß?", "WIE GROSS"),
        ("caf\u00e9", "cafe\u0301"),
        ("pay!\r\n", "\tpay"),
    ],
)
def test_case_punctuation_and_space_make_no_other_wording(one: str, other: str) -> None:
    assert wording(HERE, one) == wording(HERE, other)


@pytest.mark.parametrize(
    ("one", "other"), [("pay 5", "pay 6"), ("to pay", "pay to"), ("?", "!"), ("", "?")]
)
def test_other_words_do(one: str, other: str) -> None:
    assert wording(HERE, one) != wording(HERE, other)
    assert wording(HERE, one) != wording(PartitionKey(b"t" * 16), one)


async def test_a_blocked_pair_is_a_miss_and_says_so(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "sorted")
        block(at.engine, await found(at.engine, request(ASKED)))
        lead = await leading(at.engine, request(ASKED))
        assert lead.miss.reason is Reason.BLOCKED
        assert lead.miss.similarity is not None
        release(at.engine, lead)
        assert (await found(at.engine, request(STORED))).hit.reason is Reason.EXACT


@pytest.mark.parametrize("asked", [f"{ASKED}!!", ASKED.upper(), f"  {ASKED}\n?"])
async def test_no_other_spelling_brings_it_back(asked: str, clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "sorted")
        block(at.engine, await found(at.engine, request(ASKED)))
        assert (await leading(at.engine, request(asked))).miss.reason is Reason.BLOCKED


async def test_it_holds_the_other_way_round(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "sorted")
        block(at.engine, await found(at.engine, request(ASKED)))
        lead = await leading(at.engine, request(ASKED))
        settle(at.engine, lead, received("its own"))
        assert (await found(at.engine, request(ASKED))).hit.reason is Reason.EXACT
        at.engine.memory.remove([(await found(at.engine, request(STORED))).ask.key], "purged")
        await at.engine.memory.writer.drain()
        assert (await leading(at.engine, request(STORED))).miss.reason is Reason.BLOCKED


async def test_it_stops_nothing_else(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "sorted")
        await fill(at.engine, request(STORED, "bob"), "bob's")
        block(at.engine, await found(at.engine, request(ASKED)))
        await found(at.engine, request(f"{ASKED} now"))
        await found(at.engine, request(ASKED, "bob"))


async def test_another_candidate_may_answer_instead(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "sorted")
        block(at.engine, await found(at.engine, request(ASKED)))
        further = f"{STORED} of numbers"
        lead = await anew(at.engine, request(further))
        settle(at.engine, lead, received("numbers"))
        assert (await found(at.engine, request(ASKED))).payload.prompt == further


async def test_a_lookup_that_waits_for_the_scorer_is_stopped_too(clock: FakeClock) -> None:
    gate, asked = asyncio.Event(), asyncio.Event()

    class Slow(Scripted):
        async def score(self, one: str, other: str) -> float | None:
            asked.set()
            await gate.wait()
            return await super().score(one, other)

    async with running(clock) as at:
        await fill(at.engine, request(STORED), "sorted")
        hit = await found(at.engine, request(f"{ASKED}!"))  # not an alias of what is asked next
        at.engine.decider = Decider(Slow({STORED: 9.0}), at.seen, clock)
        waiting = asyncio.create_task(at.engine.lookup(request(ASKED)))
        await asked.wait()
        block(at.engine, hit)
        gate.set()
        outcome = await waiting
        assert not isinstance(outcome, Found)


async def test_followers_of_a_call_that_came_to_nothing_get_no_blocked_answer(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "sorted")
        block(at.engine, await found(at.engine, request(ASKED)))
        lead = await leading(at.engine, request(ASKED))
        follow = await at.engine.lookup(request(ASKED))
        assert isinstance(follow, Follow)
        release(at.engine, lead)
        assert await follow.flight.wait() is None
        follow.flight.leave()
        assert (await leading(at.engine, request(ASKED))).miss.reason is Reason.BLOCKED


async def test_a_withdrawn_answer_is_not_served_though_the_store_still_has_it(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "wrong")
        hit = await found(at.engine, request(STORED))
        assert at.engine.blocked.withdraw(hit.ask.key, hit.payload.created_s)
        lead = await leading(at.engine, request(STORED))
        assert lead.miss.reason is Reason.BLOCKED
        asked = await leading(at.engine, request(ASKED))
        assert asked.miss.reason is Reason.BLOCKED
        clock.advance(1.0)
        settle(at.engine, lead, received("right"))
        assert (await found(at.engine, request(STORED))).payload.answer.choices[0].text == "right"
        release(at.engine, asked)
        assert (await found(at.engine, request(ASKED))).hit.reason is Reason.SEMANTIC


async def test_others_learn_of_it_and_it_ends_with_its_life(clock: FakeClock) -> None:
    store, one, other = TroubledStore(clock), Blocked(clock, 100.0), Blocked(clock, 100.0)
    async with running(clock) as at:
        await fill(at.engine, request(STORED))
        hit = await found(at.engine, request(ASKED))
    both, key = pair(hit.ask, STORED), EntryKey(hit.hit.key)
    assert one.add(both)
    assert one.withdraw(key, 5.0, clock() + 200)
    assert not one.add(both)
    await one.send(store)
    await other.read(store)
    assert other.stops(hit.ask, EntryKey(b"x" * 16), STORED.upper(), 9.0)
    assert other.withdrawn(key, 5.0)
    assert not other.withdrawn(key, 5.1)
    clock.advance(150)
    await other.read(store)
    assert not other.knows(both)
    assert not other.stops(hit.ask, EntryKey(b"x" * 16), STORED, 9.0)
    assert other.withdrawn(key, 5.0)
    clock.advance(51)
    await other.read(store)
    assert len(other) == 0
