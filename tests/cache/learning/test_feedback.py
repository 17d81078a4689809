"""What a verdict does, and how little of it any one caller can do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from kindcache.cache.asking.scope import Principal
from kindcache.cache.engine import Engine
from kindcache.cache.events import Removed
from kindcache.cache.learning import blocked as blocked_module
from kindcache.cache.learning import feedback as feedback_module
from kindcache.cache.learning.blocked import Blocked, pair
from kindcache.cache.learning.evidence import Evidence
from kindcache.cache.learning.feedback import (
    COUNTED_PER_DAY,
    TAKEN_PER_DAY,
    Allowance,
    Effect,
    Feedback,
    Judged,
)
from kindcache.cache.outcome import Found
from kindcache.cache.ports import EntryKey
from kindcache.cache.settling import settle
from kindcache.policies.observation import Observation, Source
from kindcache.policies.verdict import Reason, Tier
from tests.cache.small_engine import anew, fill, found, leading, received, request, running
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

STORED = "show the code for sorting a list"
ASKED = "please show the code for sorting a list"
ALICE = Principal(b"alice".ljust(16, b"\0"))
BOB = Principal(b"bob".ljust(16, b"\0"))


class Noted:
    """Evidence that keeps what it is told."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []

    def note(self, observation: Observation) -> None:
        self.observations.append(observation)


def listening(engine: Engine) -> tuple[Feedback, list[Observation]]:
    noted = Noted()
    engine.evidence = cast("Evidence", noted)
    return Feedback(engine), noted.observations


def judged(outcome: Found, number: int = 0) -> Judged:
    """Describe the hit ``outcome``; ``number`` tells hits on the same entry apart."""
    semantic = outcome.hit.tier is Tier.SEMANTIC
    return Judged(
        id=number.to_bytes(16, "big"),
        principal=outcome.ask.principal,
        entry=EntryKey(outcome.hit.key),
        created_s=outcome.payload.created_s,
        issued_s=0.0,
        pair=pair(outcome.ask, outcome.payload.prompt) if semantic else None,
        category=outcome.hit.category,
        probability=0.98,
    )


def invented(number: int, principal: Principal = ALICE) -> Judged:
    """Describe a hit on a pair of its own."""
    halves = number.to_bytes(16, "big") + b"x" * 16
    return Judged(
        id=halves[:16],
        principal=principal,
        entry=EntryKey(halves[:16]),
        created_s=1.0,
        issued_s=2.0,
        pair=blocked_module.Pair(halves),
        category="code",
        probability=0.98,
    )


async def test_a_wrong_semantic_hit_blocks_the_pair_and_is_evidence(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED))
        feedback, noted = listening(at.engine)
        hit = judged(await found(at.engine, request(ASKED)))
        assert feedback.take(hit, right=False) is Effect.BLOCKED
        assert noted == [Observation("code", 0.98, False, Source.FEEDBACK, served=True)]
        assert (await leading(at.engine, request(ASKED))).miss.reason is Reason.BLOCKED
        assert (await found(at.engine, request(STORED))).hit.tier is Tier.EXACT


async def test_one_pair_counts_once_however_often_it_is_reported(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED))
        feedback, noted = listening(at.engine)
        outcome = await found(at.engine, request(ASKED))
        effects = [feedback.take(judged(outcome, n), right=False) for n in (0, 0, 1, 2)]
        assert effects == [Effect.BLOCKED, *[Effect.UNCHANGED] * 3]
        assert len(noted) == 1
        # Nor after a restart, which forgets tokens but no pair.
        assert Feedback(at.engine).take(judged(outcome), right=False) is Effect.UNCHANGED
        assert len(noted) == 1


async def test_a_right_hit_is_evidence_and_nothing_else(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED))
        feedback, noted = listening(at.engine)
        outcome = await found(at.engine, request(ASKED))
        effects = [feedback.take(judged(outcome), right=True) for _ in range(2)]
        assert effects == [Effect.NOTED, Effect.UNCHANGED]
        assert noted == [Observation("code", 0.98, True, Source.FEEDBACK, served=True)]
        await found(at.engine, request(ASKED))


async def test_wrong_is_final_and_right_is_not(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED))
        feedback, _ = listening(at.engine)
        hit = judged(await found(at.engine, request(ASKED)))
        effects = [feedback.take(hit, right=right) for right in (True, False, True)]
        assert effects == [Effect.NOTED, Effect.BLOCKED, Effect.CONTRADICTED]
        assert at.engine.blocked.knows(pair((await leading(at.engine, request(ASKED))).ask, STORED))


async def test_a_wrong_exact_hit_is_gone_at_once_and_is_no_evidence(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED))
        feedback, noted = listening(at.engine)
        await at.engine.memory.writer.drain()
        outcome = await found(at.engine, request(STORED))
        slowly = at.store.gates["delete"] = asyncio.Event()
        assert feedback.take(judged(outcome), right=False) is Effect.REMOVED
        assert noted == []
        lead = await leading(at.engine, request(STORED))
        assert lead.miss.reason is Reason.BLOCKED
        assert at.seen.of(Removed) == [Removed(1, "feedback")]
        slowly.set()
        await at.engine.memory.writer.drain()
        assert await at.store.get(EntryKey(outcome.hit.key)) is None
        assert feedback.take(judged(outcome, 1), right=False) is Effect.UNCHANGED


async def test_a_right_exact_hit_is_no_evidence(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED))
        feedback, noted = listening(at.engine)
        outcome = await found(at.engine, request(STORED))
        assert feedback.take(judged(outcome), right=True) is Effect.NOTED
        assert noted == []


async def test_a_late_verdict_leaves_a_newer_answer_alone(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "old")
        feedback, _ = listening(at.engine)
        old = judged(await found(at.engine, request(STORED)))
        clock.advance(10.0)
        settle(at.engine, await anew(at.engine, request(STORED)), received("new"))
        assert feedback.take(old, right=False) is Effect.UNCHANGED
        assert (await found(at.engine, request(STORED))).payload.answer.choices[0].text == "new"


async def test_one_principal_can_give_only_so_much_evidence_a_day(clock: FakeClock) -> None:
    async with running(clock) as at:
        feedback, noted = listening(at.engine)
        for number in range(COUNTED_PER_DAY + 5):
            assert feedback.take(invented(number), right=False) is Effect.BLOCKED
        assert len(noted) == COUNTED_PER_DAY
        assert feedback.take(invented(900, BOB), right=False) is Effect.BLOCKED
        assert feedback.take(invented(901), right=True) is Effect.NOTED
        assert len(noted) == COUNTED_PER_DAY + 2
        clock.advance(86_400.0)
        feedback.take(invented(902), right=False)
        assert len(noted) == COUNTED_PER_DAY + 3


async def test_past_the_daily_limit_verdicts_have_no_effect(clock: FakeClock) -> None:
    async with running(clock) as at:
        feedback, _ = listening(at.engine)
        for number in range(TAKEN_PER_DAY):
            feedback.take(invented(number), right=False)
        late = invented(900)
        assert feedback.take(late, right=False) is Effect.TOO_MANY
        assert len(at.engine.blocked) == TAKEN_PER_DAY
        assert feedback.take(invented(901, BOB), right=False) is Effect.BLOCKED
        clock.advance(86_400.0)
        assert feedback.take(late, right=False) is Effect.BLOCKED


async def test_without_room_for_the_pair_the_answer_itself_goes(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked_module, "LIMIT", 1)
    async with running(clock) as at:
        at.engine.blocked = at.engine.answers.blocked = Blocked(clock, 100.0)
        await fill(at.engine, request(STORED))
        feedback, noted = listening(at.engine)
        feedback.take(invented(1), right=False)
        hit = judged(await found(at.engine, request(ASKED)), 9)
        assert feedback.take(hit, right=False) is Effect.REMOVED
        assert len(noted) == 2
        await at.engine.memory.writer.drain()
        assert (await leading(at.engine, request(ASKED))).miss.reason is Reason.NEW


async def test_of_the_hits_judged_only_the_latest_are_remembered(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_module, "REMEMBERED", 2)
    async with running(clock) as at:
        feedback, noted = listening(at.engine)
        effects = [feedback.take(invented(n), right=True) for n in (1, 2, 3, 3, 1)]
    assert effects == [*[Effect.NOTED] * 3, Effect.UNCHANGED, Effect.NOTED]
    assert len(noted) == 4


def test_so_many_principals_have_an_allowance_in_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback_module, "MOST_PRINCIPALS", 1)
    allowance = Allowance(2)
    assert [allowance.spend(who, 0.0) for who in (ALICE, BOB, ALICE, ALICE)] == [
        True,
        False,
        True,
        False,
    ]
    assert allowance.spend(BOB, 86_400.0)


async def test_the_block_outlives_an_entry_that_lives_longer_than_evidence(
    clock: FakeClock,
) -> None:
    long = "defaults: {similarity_threshold: 0.5, ttl: 90d}"
    async with running(clock, text=long, revalidate_s=1e9) as at:
        await fill(at.engine, request(STORED))
        feedback, _ = listening(at.engine)
        hit = judged(await found(at.engine, request(ASKED)))
        assert feedback.take(replace(hit, id=b"z"), right=False) is Effect.BLOCKED
        clock.advance(80 * 86_400.0)
        await at.engine.blocked.read(at.store)
        assert (await leading(at.engine, request(ASKED))).miss.reason is Reason.BLOCKED
