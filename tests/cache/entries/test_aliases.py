"""The same new wording again: served without models while all that made it a hit still holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from kindcache.cache.asking.identity import Request
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.engine import Engine
from kindcache.cache.entries.aliases import Aliases
from kindcache.cache.events import LookedUp
from kindcache.cache.learning.blocked import pair
from kindcache.cache.outcome import Found, Lead
from kindcache.cache.ports import EntryKey
from kindcache.cache.removing.purging import purge
from kindcache.cache.settling import note_standing, release, settle
from kindcache.policies.category import Prototypes
from kindcache.policies.facts import Directives, Origin
from kindcache.policies.verdict import Hit, Reason, Tier
from tests.cache.small_engine import (
    DIM,
    Running,
    anew,
    fill,
    found,
    leading,
    policy,
    received,
    request,
    running,
)
from tests.cache.test_deciding import Scripted, judged_by
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

STORED = "show the code for sorting a list"
ASKED = "please show the code for sorting a list"
OTHER = "please show me the code for sorting a list"


def by_alias(outcome: Found) -> bool:
    """Say whether neither embedding nor index was asked."""
    return outcome.trace.embed_s == outcome.trace.search_s == outcome.trace.judge_s == 0


async def judged(at: Running, asked: Request | None = None) -> Found:
    """Store an answer, and let ``asked`` be judged to mean it."""
    await fill(at.engine, request(STORED), "sorted")
    first = await found(at.engine, asked or request(ASKED))
    assert not by_alias(first)
    return first


async def missed(engine: Engine, asked: Request) -> Lead:
    lead = await leading(engine, asked)
    release(engine, lead)
    return lead


async def test_the_same_words_again_need_no_model_and_are_reported_alike(clock: FakeClock) -> None:
    async with running(clock) as at:
        first = await judged(at)
        clock.advance(10.0)
        again = await found(at.engine, request(f"  {ASKED}\r\n"))
        assert by_alias(again)
        assert again.payload is first.payload
        assert again.hit == replace(
            first.hit, age_s=first.hit.age_s + 10.0, ttl_s=first.hit.ttl_s - 10.0
        )
        assert again.hit.tier is Tier.SEMANTIC


async def test_a_scorers_probability_is_remembered_and_it_is_not_asked_again(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        scorer = Scripted({STORED: 9.0})
        judged_by(at.engine, at.seen, scorer)
        first = await judged(at)
        again = await found(at.engine, request(ASKED))
        assert by_alias(again)
        assert again.hit.probability == first.hit.probability is not None
        assert scorer.asked == [STORED]


async def test_evidence_and_metrics_see_each_of_them_as_a_hit_by_meaning(clock: FakeClock) -> None:
    async with running(clock) as at:
        await judged(at)
        await found(at.engine, request(ASKED))
        hits = [event.verdict for event in at.seen.of(LookedUp) if isinstance(event.verdict, Hit)]
        assert [hit.tier for hit in hits] == [Tier.SEMANTIC, Tier.SEMANTIC]


async def test_its_use_keeps_the_entry_from_being_evicted(clock: FakeClock) -> None:
    async with running(clock, capacity=2) as at:
        first = await judged(at)
        await fill(at.engine, request("hello"))
        assert by_alias(await found(at.engine, request(ASKED)))
        await fill(at.engine, request("good morning to you"))
        assert at.engine.memory.table.get(EntryKey(first.hit.key)) is not None


# Gone with the entry


def removed(at: Running, first: Found) -> None:
    at.engine.memory.remove([EntryKey(first.hit.key)], "feedback")


def cleared(at: Running, _: Found) -> None:
    at.engine.memory.clear()
    at.engine.epoch = b"another"


def withdrawn(at: Running, first: Found) -> None:
    at.engine.blocked.withdraw(EntryKey(first.hit.key), first.payload.created_s)


def blocked(at: Running, first: Found) -> None:
    at.engine.blocked.add(pair(first.ask, first.payload.prompt))


def refused(at: Running, first: Found) -> None:
    note_standing(at.engine, first.ask.principal, 401)


def closed(at: Running, _: Found) -> None:
    at.engine.policy.use_bars({"code": 1.5})


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (removed, Reason.NEW),
        (cleared, Reason.NEW),
        (withdrawn, Reason.BLOCKED),
        (blocked, Reason.BLOCKED),
        (refused, Reason.REVALIDATE),
        (closed, Reason.UNSURE),
    ],
)
async def test_it_ends_with_what_it_stands_on(
    end: Callable[[Running, Found], None], reason: Reason, clock: FakeClock
) -> None:
    async with running(clock) as at:
        first = await judged(at)
        end(at, first)
        assert (await missed(at.engine, request(ASKED))).miss.reason is reason


async def test_it_ends_with_a_purge(clock: FakeClock) -> None:
    async with running(clock) as at:
        await judged(at)
        await purge(at.engine, "code")
        assert (await missed(at.engine, request(ASKED))).miss.reason is Reason.NEW


async def test_it_ends_with_an_eviction(clock: FakeClock) -> None:
    async with running(clock, capacity=1) as at:
        await judged(at)
        await fill(at.engine, request("hello"))
        await missed(at.engine, request(ASKED))


async def test_it_ends_with_the_life_of_the_entry_and_uses_renew_nothing(clock: FakeClock) -> None:
    async with running(clock, revalidate_s=1e6) as at:
        await judged(at)
        for _ in range(3):
            clock.advance(28_799.0)
            assert by_alias(await found(at.engine, request(ASKED)))
        clock.advance(4.0)
        assert (await missed(at.engine, request(ASKED))).miss.reason is Reason.EXPIRED


async def test_a_newer_answer_to_the_stored_prompt_is_judged_anew(clock: FakeClock) -> None:
    async with running(clock) as at:
        await judged(at)
        clock.advance(1.0)
        settle(at.engine, await anew(at.engine, request(STORED)), received("better"))
        outcome = await found(at.engine, request(ASKED))
        assert outcome.payload.answer.choices[0].text == "better"
        assert not by_alias(outcome)


async def test_an_answer_of_its_own_comes_first(clock: FakeClock) -> None:
    async with running(clock) as at:
        await judged(at)
        settle(at.engine, await anew(at.engine, request(ASKED)), received("its own"))
        outcome = await found(at.engine, request(ASKED))
        assert outcome.hit.tier is Tier.EXACT
        assert outcome.payload.answer.choices[0].text == "its own"


async def test_an_entry_that_comes_back_is_judged_anew(clock: FakeClock) -> None:
    async with running(clock) as at:
        first = await judged(at)
        removed(at, first)
        await at.engine.memory.writer.drain()
        await fill(at.engine, request(STORED), "sorted again")
        assert not by_alias(await found(at.engine, request(ASKED)))


async def test_what_is_blocked_while_the_answer_is_fetched_is_not_served(clock: FakeClock) -> None:
    async with running(clock, hot_bytes=0) as at:
        first = await judged(at)
        await at.engine.memory.writer.drain()
        at.store.calls.clear()
        at.store.gates["get"] = asyncio.Event()
        waiting = asyncio.create_task(at.engine.lookup(request(ASKED)))
        await at.store.called("get")
        blocked(at, first)
        at.store.gates["get"].set()
        outcome = await waiting
        assert isinstance(outcome, Lead)
        assert outcome.miss.reason is Reason.BLOCKED
        release(at.engine, outcome)


async def test_an_answer_replaced_while_it_was_fetched_makes_none(clock: FakeClock) -> None:
    async with running(clock, hot_bytes=0) as at:
        await fill(at.engine, request(STORED), "old")
        await at.engine.memory.writer.drain()
        at.store.calls.clear()
        for_words, for_answer = asyncio.Event(), asyncio.Event()
        at.store.gates["get"] = for_words
        waiting = asyncio.create_task(at.engine.lookup(request(ASKED)))
        await at.store.called("get")
        at.store.gates["get"] = for_answer
        for_words.set()
        await at.store.called("get", 2)
        clock.advance(1.0)
        settle(at.engine, await anew(at.engine, request(STORED)), received("new"))
        for_answer.set()
        assert isinstance(await waiting, Found)
        assert len(at.engine.aliases) == 0


async def test_a_bar_that_moved_above_it_ends_it_and_one_that_moved_back_does_not(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        judged_by(at.engine, at.seen, Scripted({STORED: 4.0}))
        await judged(at)
        at.engine.policy.use_bars({"code": 0.99})
        assert (await missed(at.engine, request(ASKED))).miss.reason is Reason.UNSURE
        at.engine.policy.use_bars({})
        assert by_alias(await found(at.engine, request(ASKED)))


@pytest.mark.parametrize(
    "text",
    [
        "categories: {code: {match: {pattern: code}, semantic: false}}",
        "categories: {code: {match: {pattern: code}, cache: false}}",
        "categories: {code: {match: {pattern: code}, mode: shadow}}",
        "defaults: {similarity_threshold: 0.999}\ncategories: {code: {match: {pattern: code}}}",
    ],
)
async def test_another_policy_ends_them_all(text: str, clock: FakeClock) -> None:
    async with running(clock) as at:
        await judged(at)
        at.engine.policy = policy(text)
        outcome = await at.engine.lookup(request(ASKED))
        assert not isinstance(outcome, Found)
        if isinstance(outcome, Lead):
            release(at.engine, outcome)


async def test_shadow_mode_makes_none(clock: FakeClock) -> None:
    shadow = "categories: {code: {match: {pattern: code}, mode: shadow, similarity_threshold: 0.5}}"
    async with running(clock, text=shadow) as at:
        await fill(at.engine, request(STORED))
        assert (await missed(at.engine, request(ASKED))).miss.reason is Reason.SHADOW
        assert len(at.engine.aliases) == 0


# Nobody else's, and no looser


@pytest.mark.parametrize(
    "asked",
    [
        request(ASKED, "bob"),
        request(ASKED, frame={"model": "m2", "messages": []}),
        request(ASKED, user="somebody"),
        request(ASKED, directives=Directives(namespace="apart")),
        request(OTHER.upper()),
    ],
    ids=["principal", "frame", "user", "namespace", "words"],
)
async def test_it_is_of_no_use_to_another_scope_partition_or_wording(
    asked: Request, clock: FakeClock
) -> None:
    async with running(clock) as at:
        await judged(at)
        outcome = await at.engine.lookup(asked)
        assert not (isinstance(outcome, Found) and by_alias(outcome))
        if isinstance(outcome, Lead):
            release(at.engine, outcome)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (Directives(max_age_s=5.0), Reason.CLIENT_FRESHNESS),
        (Directives(min_fresh_s=86_395.0), Reason.CLIENT_FRESHNESS),
        (Directives(no_cache=True), Reason.CLIENT_NO_CACHE),
    ],
)
async def test_the_clients_directives_hold(
    asked: Directives, reason: Reason, clock: FakeClock
) -> None:
    async with running(clock) as at:
        await judged(at)
        clock.advance(10.0)
        lead = await missed(at.engine, request(ASKED, directives=asked))
        assert lead.miss.reason is reason
        assert by_alias(await found(at.engine, request(ASKED)))


async def test_a_caller_that_wants_the_usage_does_not_get_an_answer_without(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await judged(at)
        asked = request(ASKED, stream=True, wants_usage=True)
        assert (await missed(at.engine, asked)).miss.reason is Reason.USAGE_UNKNOWN


async def test_its_own_answer_without_usage_is_asked_for_anew(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "sorted", usage={"total_tokens": 3})
        await found(at.engine, request(ASKED))
        settle(at.engine, await anew(at.engine, request(ASKED)), received("its own"))
        asked = request(ASKED, stream=True, wants_usage=True)
        assert (await missed(at.engine, asked)).miss.reason is Reason.USAGE_UNKNOWN


async def test_sampling_that_asks_for_one_particular_draw_gets_none(clock: FakeClock) -> None:
    async with running(clock) as at:
        await judged(at)
        lead = await missed(at.engine, request(ASKED, seeded=True))
        assert lead.miss.reason is Reason.EXACT_ONLY


async def test_a_call_that_rules_put_elsewhere_is_judged_there(clock: FakeClock) -> None:
    text = (
        "defaults: {similarity_threshold: 0.5}\ncategories:\n"
        "  strict: {match: {metadata: {for: patients}}, similarity_threshold: 1.0}\n"
        "  lax: {match: {pattern: code}}\n"
    )
    async with running(clock, text=text) as at:
        await judged(at)
        asked = request(ASKED, metadata={"for": "patients"})
        assert (await missed(at.engine, asked)).miss.reason is Reason.BELOW_THRESHOLD
        named = replace(request(ASKED), origin=Origin({"x-cache-category": "strict"}))
        assert (await missed(at.engine, named)).miss.reason is Reason.BELOW_THRESHOLD
        assert by_alias(await found(at.engine, request(ASKED)))


async def test_a_category_by_examples_is_remembered_with_it(clock: FakeClock) -> None:
    text = "defaults: {similarity_threshold: 0.5}\ncategories: {sorting: {examples: [sort]}}"
    encoder = HashingEncoder(DIM, window=40)
    examples = Prototypes(
        ["sorting"], encoder.encode([STORED]).vectors, min_similarity=0.3, margin=0.0
    )
    async with running(clock, text=text) as at:
        at.engine.policy.use_prototypes(examples)
        first = await judged(at)
        again = await found(at.engine, request(ASKED))
        assert by_alias(again)
        assert again.hit.category == first.hit.category == "sorting"


# Bounded


async def test_the_least_recently_used_goes_first(clock: FakeClock) -> None:
    async with running(clock) as at:
        at.engine.aliases = Aliases(at.engine.memory.table, limit=2)
        await judged(at)
        await found(at.engine, request(OTHER))
        assert by_alias(await found(at.engine, request(ASKED)))
        await found(at.engine, request(f"{OTHER}!"))
        assert len(at.engine.aliases) == 2
        assert by_alias(await found(at.engine, request(ASKED)))
        assert not by_alias(await found(at.engine, request(OTHER)))
