"""The request path: which situation ends in which outcome, and for which reason."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.entry import Payload, decode_payload
from kindcache.cache.errors import EmbedderError
from kindcache.cache.events import Failed, LookedUp, Removed
from kindcache.cache.identity import Request
from kindcache.cache.outcome import Aside, Follow, Found, Lead
from kindcache.cache.ports import Encoded, EntryKey
from kindcache.cache.settling import Received, release, settle
from kindcache.policies.category import Prototypes
from kindcache.policies.facts import Directives, Origin
from kindcache.policies.verdict import Admit, Reason, Tier
from tests.cache.small_engine import (
    DIM,
    batcher,
    down,
    fill,
    found,
    leading,
    policy,
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
    Case("of another kind", request("the news"), Lead, Reason.NEW, "news"),
    Case("of no kind", request("hello"), Lead, Reason.NEW, "default"),
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


# Lives and policies


@pytest.mark.parametrize("words", [CODE, SAME_CODE])
async def test_an_answer_lives_as_long_as_its_category_says_and_hits_renew_nothing(
    words: str, clock: FakeClock
) -> None:
    async with running(clock, revalidate_s=1e6) as at:
        await fill(at.engine, request(CODE))
        for _ in range(4):
            clock.advance(21_599.0)
            await found(at.engine, request(words))
        clock.advance(4.0)
        assert (await leading(at.engine, request(words))).miss.reason is Reason.EXPIRED


@pytest.mark.parametrize("words", [CODE, SAME_CODE])
async def test_a_shorter_life_in_todays_policy_holds_for_what_is_stored(
    words: str, clock: FakeClock
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE))
        clock.advance(100.0)
        at.engine.policy = policy(
            "defaults: {similarity_threshold: 0.5}\n"
            "categories: {code: {match: {pattern: code}, ttl: 1m}}"
        )
        assert (await leading(at.engine, request(words))).miss.reason is Reason.EXPIRED


@pytest.mark.parametrize("words", [CODE, SAME_CODE])
async def test_the_filling_clients_own_bound_holds_for_everyone(
    words: str, clock: FakeClock
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE, directives=Directives(ttl_s=30.0)))
        clock.advance(29.0)
        assert (await found(at.engine, request(words))).hit.ttl_s == pytest.approx(1.0)
        clock.advance(1.0)
        assert (await leading(at.engine, request(words))).miss.reason is Reason.EXPIRED


@pytest.mark.parametrize("words", [CODE, SAME_CODE])
@pytest.mark.parametrize(
    "text",
    ["defaults: {similarity_threshold: 0.5}", "categories: {code: {cache: false}}"],
    ids=["gone", "not cached any more"],
)
async def test_entries_of_a_category_that_is_no_more_are_not_served(
    text: str, words: str, clock: FakeClock
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE))
        at.engine.policy = policy(text)
        lead = await leading(at.engine, request(words))
        assert (lead.miss.reason, lead.miss.category) == (Reason.NEW, "default")
        assert settle(at.engine, lead, received("anew")) == Admit(3600.0)
        assert (await found(at.engine, request(words))).hit.category == "default"


async def test_the_entry_names_the_category_whose_policy_decides_an_exact_hit(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request("hello"))
        at.engine.policy = policy("categories: {greeting: {match: {pattern: hello}, ttl: 1s}}")
        clock.advance(10.0)
        hit = (await found(at.engine, request("hello"))).hit
        assert (hit.category, hit.ttl_s) == ("default", 3590.0)


async def test_expired_neighbours_do_not_hide_a_live_one(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(f"{CODE} of words"), "the live one")
        for number in range(4):
            asked = request(CODE + "!" * number, directives=Directives(ttl_s=5.0))
            settle(at.engine, await _anew(at.engine, asked), received("dead"))
        clock.advance(6.0)
        assert len(at.engine.memory.table) == 5
        assert (await found(at.engine, request(SAME_CODE))).payload.answer.choices[0].text == (
            "the live one"
        )


async def _anew(engine: Any, asked: Request) -> Lead:
    """Lead although something near is stored."""
    directives = Directives(no_cache=True, ttl_s=asked.call.directives.ttl_s)
    return await leading(engine, request(asked.call.prompt, directives=directives))


@pytest.mark.parametrize("words", [CODE, SAME_CODE])
async def test_a_credential_without_recent_success_must_succeed_again(
    words: str, clock: FakeClock
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE))
        clock.advance(3599.0)
        await found(at.engine, request(words))
        clock.advance(1.0)
        lead = await leading(at.engine, request(words))
        assert lead.miss.reason is Reason.REVALIDATE
        settle(at.engine, lead, Received(Reason.INCOMPLETE, 200))
        await found(at.engine, request(words))


async def test_a_refused_credential_gets_nothing_until_it_succeeds(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE))
        for status, kind in ((401, Lead), (200, Found), (403, Lead), (500, Lead), (204, Found)):
            settle(
                at.engine, await leading(at.engine, request("hi")), Received(Reason.STATUS, status)
            )
            outcome = await at.engine.lookup(request(CODE))
            assert type(outcome) is kind, status
            if isinstance(outcome, Lead):
                release(at.engine, outcome)


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


# Kinds by meaning


MEDICAL = """
defaults: {similarity_threshold: 0.5}
categories:
  medical: {cache: false}
  weather: {ttl: 5m}
  code: {match: {pattern: code}}
"""


def examples() -> Prototypes:
    matrix = HashingEncoder(DIM).encode(["which pills help", "will it rain"]).vectors
    return Prototypes(["medical", "weather"], matrix, min_similarity=0.4, margin=0.05)


async def test_the_nearest_example_decides_and_may_deny(clock: FakeClock) -> None:
    async with running(clock, text=MEDICAL) as at:
        at.engine.policy.use_prototypes(examples())
        denied = await at.engine.lookup(request("which pills help me"))
        assert isinstance(denied, Aside)
        assert (denied.bypass.reason, denied.bypass.category) == (Reason.CATEGORY, "medical")
        assert (await leading(at.engine, request("will it rain now"))).miss.category == "weather"
        assert (await leading(at.engine, request("xyzzy"))).miss.category == "default"


async def test_before_the_examples_are_learnt_the_undecided_is_read_but_not_stored(
    clock: FakeClock,
) -> None:
    async with running(clock, text=MEDICAL) as at:
        await fill(at.engine, request("will it rain now"))
        at.engine.learnt = False
        await found(at.engine, request("will it rain now"))
        lead = await leading(at.engine, request("which pills help me"))
        assert (lead.miss.reason, lead.write) == (Reason.EMBEDDER, False)
        settle(at.engine, lead, received())
        assert len(at.engine.memory.table) == 1
        await fill(at.engine, request(CODE))
        await found(at.engine, request(SAME_CODE))


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


async def test_what_was_purged_during_a_read_is_not_served_again(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE), "purged")
        (entry,) = at.engine.memory.table
        task, gate = await _slow_read(at, clock)
        at.engine.memory.remove([entry.key], "purged")
        gate.set()
        await task
        await at.engine.memory.writer.drain()
        await leading(at.engine, request(CODE))


async def test_what_was_replaced_during_a_read_is_not_served_again(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE), "old")
        task, gate = await _slow_read(at, clock)
        settle(at.engine, await _anew(at.engine, request(CODE)), received("new"))
        gate.set()
        await task
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
        settle(at.engine, await _anew(at.engine, request(CODE)), received("new"))
        gate.set()
        outcome = await task
        assert isinstance(outcome, Found | Lead)
        await at.engine.memory.writer.drain()
        assert (await found(at.engine, request(CODE))).payload.answer.choices[0].text == "new"
        data = await at.store.get(entry.key)
        assert data is not None
        assert decode_payload(data).answer.choices[0].text == "new"


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
