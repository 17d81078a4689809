"""Conversations in other words, through the whole engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kindcache.cache.asking.identity import Request
from kindcache.cache.asking.turns import TurnScorer
from kindcache.cache.deciding import Decider
from kindcache.cache.engine import Engine
from kindcache.cache.entries.entry import decode_record
from kindcache.cache.errors import EmbedderTimeout, ScorerError
from kindcache.cache.events import Failed
from kindcache.cache.outcome import Found, Outcome
from kindcache.cache.removing.purging import purge
from kindcache.cache.settling import release
from kindcache.policies.fusion import Fusion
from kindcache.policies.verdict import Miss, Reason
from tests.cache.small_engine import (
    Running,
    answer,
    fill,
    found,
    leading,
    request,
    running,
)
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

POLICY = """
defaults: {similarity_threshold: 0.5, candidate_floor: 0.5, min_probability: 0.9, ttl: 1h}
categories:
  talk: {match: {pattern: "(?i)card"}, history: equivalent}
  strict: {match: {pattern: "(?i)code"}}
  watched: {match: {pattern: "(?i)watch"}, history: equivalent, mode: shadow}
"""
FIRST = "I lost my credit card in the town"
FIRST_AGAIN = "I have lost my credit card in the town"
SECOND = "how long does a new card take"
SECOND_AGAIN = "how long does the new card take"
REPLY = "I have blocked it."


@dataclass
class Sure:
    """Finds every pair the same, but for those that the test doubts."""

    odds: dict[str, float | ScorerError | None] = field(default_factory=dict)  # by stored text
    asked: list[tuple[str, str]] = field(default_factory=list)
    identity: str = "sure"
    fusion: Fusion = field(default_factory=lambda: Fusion("sure", 0.0, 1.0, 0.0))

    async def score(self, asked: str, stored: str) -> float | None:
        self.asked.append((asked, stored))
        odds = self.odds.get(stored, 9.0)
        if isinstance(odds, ScorerError):
            raise odds
        return odds

    async def open(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to free."""


def conversation(first: str, last: str, *, reply: str = REPLY, **fields: Any) -> Request:
    messages = [
        {"role": "user", "content": first},
        {"role": "assistant", "content": reply},
        {"role": "user", "content": {"$prompt": 1}},
    ]
    return request(last, frame={"model": "m", "messages": messages}, **fields)


@asynccontextmanager
async def judging(clock: FakeClock, **options: Any) -> AsyncIterator[tuple[Running, Sure]]:
    options.setdefault("text", POLICY)
    async with running(clock, **options) as at:
        scorer = Sure()
        judged_by(at.engine, scorer)
        yield at, scorer


def judged_by(engine: Engine, scorer: Sure) -> None:
    turns = TurnScorer(scorer, engine.embedder)
    engine.decider = Decider(scorer, engine.observer, engine.clock, turns)


async def missed(engine: Engine, asked: Request) -> Miss:
    lead = await leading(engine, asked)
    release(engine, lead)
    return lead.miss


def text_of(outcome: Outcome) -> str | None:
    assert isinstance(outcome, Found)
    return outcome.payload.answer.choices[0].text


async def test_both_texts_may_be_in_other_words(clock: FakeClock) -> None:
    async with judging(clock) as (at, scorer):
        await fill(at.engine, conversation(FIRST, SECOND), "five days")
        outcome = await found(at.engine, conversation(FIRST_AGAIN, SECOND_AGAIN))
        assert text_of(outcome) == "five days"
        assert outcome.hit.reason is Reason.SEMANTIC
        assert scorer.asked == [(SECOND_AGAIN, SECOND), (FIRST_AGAIN, FIRST)]


async def test_the_same_last_text_needs_no_score_of_its_own(clock: FakeClock) -> None:
    async with judging(clock) as (at, scorer):
        await fill(at.engine, conversation(FIRST, SECOND), "five days")
        outcome = await found(at.engine, conversation(FIRST_AGAIN, SECOND))
        assert outcome.hit.reason is Reason.SEMANTIC
        assert scorer.asked == [(FIRST_AGAIN, FIRST)]


async def test_the_probability_is_that_of_the_least_probable_text(clock: FakeClock) -> None:
    async with judging(clock) as (at, scorer):
        await fill(at.engine, conversation(FIRST, SECOND))
        scorer.odds = {FIRST: 3.0, SECOND: 5.0}
        outcome = await found(at.engine, conversation(FIRST_AGAIN, SECOND_AGAIN))
        assert outcome.hit.probability == pytest.approx(0.9526, abs=1e-4)
        scorer.odds = {FIRST: 5.0, SECOND: 3.0}
        judged_by(at.engine, scorer)
        outcome = await found(at.engine, conversation(FIRST_AGAIN, SECOND_AGAIN))
        assert outcome.hit.probability == pytest.approx(0.9526, abs=1e-4)


@pytest.mark.parametrize("odds", [2.0, 0.0, -5.0, None])
async def test_one_earlier_turn_in_doubt_is_a_miss(odds: float | None, clock: FakeClock) -> None:
    async with judging(clock) as (at, scorer):
        await fill(at.engine, conversation(FIRST, SECOND))
        scorer.odds = {FIRST: odds}
        miss = await missed(at.engine, conversation(FIRST_AGAIN, SECOND_AGAIN))
        assert miss.reason is Reason.UNSURE
        assert miss.probability is not None
        assert miss.probability < 0.9


async def test_a_bar_below_even_odds_lets_no_unread_turn_through(clock: FakeClock) -> None:
    text = POLICY.replace("min_probability: 0.9", "min_probability: 0.1")
    async with judging(clock, text=text) as (at, scorer):
        await fill(at.engine, conversation(FIRST, SECOND))
        scorer.odds = {SECOND: -1.0, FIRST: -9.0}
        assert (await missed(at.engine, conversation(FIRST_AGAIN, SECOND_AGAIN))).probability == 0.0


@pytest.mark.parametrize(
    "first", ["I lost 2 credit cards in the town", "I lost no credit card in the town", "Yes."]
)
async def test_guards_object_to_earlier_turns(first: str, clock: FakeClock) -> None:
    async with judging(clock) as (at, scorer):
        await fill(at.engine, conversation(FIRST, SECOND))
        miss = await missed(at.engine, conversation(first, SECOND_AGAIN))
        assert miss.reason is Reason.HISTORY
        assert scorer.asked == []


@pytest.mark.parametrize(
    "other",
    [
        conversation(FIRST_AGAIN, SECOND_AGAIN, reply="I have not found it."),
        conversation(FIRST_AGAIN, SECOND_AGAIN, owner="bob"),
        conversation(FIRST_AGAIN, SECOND_AGAIN, user="another"),
        request(SECOND_AGAIN, frame={"model": "m", "messages": []}),
        request(SECOND_AGAIN),
    ],
)
async def test_another_scope_answer_or_shape_is_never_found(
    other: Request, clock: FakeClock
) -> None:
    async with judging(clock) as (at, scorer):
        await fill(at.engine, conversation(FIRST, SECOND))
        assert (await missed(at.engine, other)).reason is Reason.NEW
        assert scorer.asked == []


@pytest.mark.parametrize(
    ("first", "last", "again"),
    [
        (
            "show the code for sorting",
            "now with fewer lines of code",
            "now with less lines of code",
        ),
        (FIRST, "watch the new card for me", "watch my new card for me"),
    ],
    ids=["exact history", "shadow"],
)
async def test_a_category_that_does_not_say_so_serves_no_other_conversation(
    first: str, last: str, again: str, clock: FakeClock
) -> None:
    async with judging(clock, text=POLICY.replace("(?i)card", "(?i)lost")) as (at, scorer):
        await fill(at.engine, conversation(first, last))
        miss = await missed(at.engine, conversation(f"please {first}", again))
        assert miss.reason in {Reason.NEW, Reason.SHADOW}
        assert (len(scorer.asked) == 0) == (miss.reason is Reason.NEW)


async def test_the_same_conversation_is_found_as_ever(clock: FakeClock) -> None:
    async with judging(clock) as (at, scorer):
        await fill(at.engine, conversation(FIRST, SECOND), "five days")
        exact = await found(at.engine, conversation(FIRST, SECOND))
        assert (exact.hit.reason, exact.hit.probability) == (Reason.EXACT, None)
        assert scorer.asked == []
        await found(at.engine, conversation(FIRST, SECOND_AGAIN))
        assert scorer.asked == [(SECOND_AGAIN, SECOND)]


async def test_calls_without_a_history_are_as_ever(clock: FakeClock) -> None:
    async with judging(clock) as (at, scorer):
        await fill(at.engine, request(SECOND), "five days")
        (entry,) = at.engine.memory.table
        assert entry.history is None
        await found(at.engine, request(SECOND_AGAIN))
        assert scorer.asked == [(SECOND_AGAIN, SECOND)]


async def test_without_a_scorer_histories_are_exact(clock: FakeClock) -> None:
    async with judging(clock) as (at, _):
        await fill(at.engine, conversation(FIRST, SECOND))
        at.engine.decider = Decider(None, at.seen, at.engine.clock)
        assert (await missed(at.engine, conversation(FIRST_AGAIN, SECOND))).reason is Reason.NEW


async def test_a_scorer_that_fails_on_a_turn_is_a_miss(clock: FakeClock) -> None:
    async with judging(clock) as (at, scorer):
        await fill(at.engine, conversation(FIRST, SECOND))
        scorer.odds = {FIRST: ScorerError("late")}
        miss = await missed(at.engine, conversation(FIRST_AGAIN, SECOND_AGAIN))
        assert miss.reason is Reason.SCORER
        assert at.seen.of(Failed) == [Failed("score", "ScorerError")]


async def test_an_embedder_that_fails_on_a_turn_is_a_miss(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with judging(clock) as (at, _):
        await fill(at.engine, conversation(FIRST, SECOND))

        async def late(_text: str) -> None:
            raise EmbedderTimeout("late")

        turns = at.engine.decider.turns
        assert turns is not None
        monkeypatch.setattr(turns, "embedder", type("Late", (), {"embed": staticmethod(late)}))
        miss = await missed(at.engine, conversation(FIRST_AGAIN, SECOND_AGAIN))
        assert miss.reason is Reason.EMBEDDER
        assert at.seen.of(Failed) == [Failed("embed", "EmbedderTimeout")]


async def test_a_long_history_is_exact(clock: FakeClock) -> None:
    async with judging(clock) as (at, _):
        long = FIRST + " and so on" * 500
        await fill(at.engine, conversation(long, SECOND))
        (entry,) = at.engine.memory.table
        assert entry.history is None
        assert (await missed(at.engine, conversation(f"{long}!", SECOND))).reason is Reason.NEW


async def test_a_restart_knows_the_turns_and_nothing_stays_behind(clock: FakeClock) -> None:
    async with judging(clock) as (at, _):
        await fill(at.engine, conversation(FIRST, SECOND), "five days")
        await at.engine.memory.writer.drain()
        ((key, data),) = [pair async for pair in at.store.records()]
        record = decode_record(data)
        assert record.turns == (FIRST,)
        at.engine.memory.clear()
        at.engine.memory.adopt(key, record)
        assert text_of(await found(at.engine, conversation(FIRST_AGAIN, SECOND_AGAIN))) == (
            "five days"
        )
        at.engine.memory.clear()
        old = replace(record, loose_partition=b"", turns=())  # of a version that kept no turns
        at.engine.memory.adopt(key, old)
        await missed(at.engine, conversation(FIRST_AGAIN, SECOND_AGAIN))
        await found(at.engine, conversation(FIRST, SECOND_AGAIN))
        assert await purge(at.engine, None) == 1
        assert sum(map(len, at.engine.memory.table.indexes())) == 0


async def test_of_several_conversations_the_right_one_answers(clock: FakeClock) -> None:
    async with judging(clock) as (at, scorer):
        firsts = {f"I lost my {t} in the town": t for t in ("phone", "bank card", "bag", "keys")}
        scorer.odds = dict.fromkeys(firsts, -9.0)
        for first, thing in firsts.items():
            await fill(at.engine, conversation(first, SECOND), thing)
        judged_by(at.engine, Sure())
        outcome = await at.engine.lookup(conversation("I lost a bank card in the town", SECOND))
        assert isinstance(outcome, Found)
        assert outcome.payload.answer == answer("bank card")
