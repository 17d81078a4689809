"""The request path: lives, policies and kinds of stored answers."""

from __future__ import annotations

import pytest

from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.outcome import Aside, Found, Lead
from kindcache.cache.settling import Received, release, settle
from kindcache.policies.category import Prototypes
from kindcache.policies.facts import Directives
from kindcache.policies.verdict import Admit, Reason
from tests.cache.small_engine import (
    DIM,
    anew,
    fill,
    found,
    leading,
    policy,
    received,
    request,
    running,
)
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

CODE = "show the code for sorting a list"
SAME_CODE = "please show the code for sorting a list"
LONG = "code " * 60  # the window has 40

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
            settle(at.engine, await anew(at.engine, asked), received("dead"))
        clock.advance(6.0)
        assert len(at.engine.memory.table) == 5
        assert (await found(at.engine, request(SAME_CODE))).payload.answer.choices[0].text == (
            "the live one"
        )


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


@pytest.mark.parametrize("words", [CODE, SAME_CODE])
async def test_what_was_removed_is_not_served_while_its_deletion_waits(
    words: str, clock: FakeClock
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(CODE))
        key = (await found(at.engine, request(CODE))).ask.key
        await at.engine.memory.writer.drain()
        at.engine.memory.remove([key], "purged")
        assert at.engine.memory.writer.is_deleting(key)
        release(at.engine, await leading(at.engine, request(words)))
        await at.engine.memory.writer.drain()
        assert not at.engine.memory.writer.is_deleting(key)
        await fill(at.engine, request(CODE))
        await found(at.engine, request(CODE))
