"""Which misses are compared once they are settled, and what is noted of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kindcache.cache.background import Background
from kindcache.cache.entries.entry import Answer, Choice, ToolCall
from kindcache.cache.errors import JudgeError
from kindcache.cache.events import Failed, NotCompared, Verified
from kindcache.cache.learning.comparing import MOST_CHARS, Comparing
from kindcache.cache.outcome import Lead
from kindcache.cache.settling import Received, carry_out, rule
from kindcache.policies.verdict import Reason
from tests.cache.small_engine import POLICY, Running, anew, down, fill, leading, request, running
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

STORED = "show the word list"
ASKED = "please show the word list"
WATCHED = POLICY.replace("defaults: {", "defaults: {mode: shadow, tool_answers: true, ")


@dataclass
class Scripted:
    """A judge that says what the test says, once its gate is open."""

    says: bool | JudgeError | None = True
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def same(self, question: str, stored: str, fresh: str) -> bool | None:
        self.asked.append((question, stored, fresh))
        self.entered.set()
        await self.gate.wait()
        if isinstance(self.says, JudgeError):
            raise self.says
        return self.says


@dataclass
class Bench:
    """An engine in shadow mode with one entry, and what compares its misses."""

    at: Running
    comparing: Comparing
    judge: Scripted

    def settle(self, lead: Lead, answer: Answer) -> None:
        ruling = rule(self.at.engine, lead, Received(answer, 200))
        carry_out(self.at.engine, lead, ruling)
        self.comparing.after_miss(lead, ruling, self.judge)

    @property
    def verified(self) -> list[bool]:
        return [event.correct for event in self.at.seen.of(Verified)]

    @property
    def not_compared(self) -> list[str]:
        return [event.why for event in self.at.seen.of(NotCompared)]


def saying(text: str | None, **fields: Any) -> Answer:
    return Answer("m", 1, (Choice(text, fields.pop("finish", "stop"), **fields),))


@asynccontextmanager
async def bench(
    clock: FakeClock, judge: Scripted | None = None, *, text: str = WATCHED, limit: int = 9
) -> AsyncIterator[Bench]:
    """Yield a bench; on the way out the judge's gate opens and everything is compared."""
    async with running(clock, text=text) as at:
        queue = Background("compare", at.seen, workers=1, limit=limit)
        queue.start()
        comparing = Comparing(at.engine, queue, affordable=lambda: True)
        made = Bench(at, comparing, judge or Scripted())
        await fill(at.engine, request(STORED), "the stored one")
        yield made
        made.judge.gate.set()
        async with asyncio.timeout(10):
            await queue.drain()
        await queue.aclose()


@pytest.mark.parametrize("same", [True, False])
async def test_a_would_be_hit_is_compared_after_its_answer(clock: FakeClock, *, same: bool) -> None:
    async with bench(clock, Scripted(says=same)) as made:
        lead = await leading(made.at.engine, request(ASKED))
        assert lead.miss.reason is Reason.SHADOW
        made.settle(lead, saying("the fresh one"))
        assert made.verified == []  # nobody waits for it
    assert made.judge.asked == [(ASKED, "the stored one", "the fresh one")]
    assert made.verified == [same]


@pytest.mark.parametrize(
    ("probability", "compared"), [(0.96, True), (0.3, True), (0.1, False), (0.0, False)]
)
async def test_of_what_the_judge_doubts_only_the_likelier_half_is_compared(
    probability: float, clock: FakeClock, *, compared: bool
) -> None:
    async with bench(clock) as made:
        lead = await leading(made.at.engine, request(ASKED))
        unsure = replace(lead.miss, reason=Reason.UNSURE, probability=probability)
        made.settle(replace(lead, miss=unsure), saying("the fresh one"))
    assert bool(made.judge.asked) is compared


async def test_misses_without_a_candidate_are_not_compared(clock: FakeClock) -> None:
    async with bench(clock) as made:
        made.settle(await leading(made.at.engine, request("entirely other")), saying("x"))
        made.settle(await anew(made.at.engine, request(ASKED)), saying("x"))
    assert made.judge.asked == []
    assert made.not_compared == []


async def test_answers_that_chance_tells_apart_are_not_compared(clock: FakeClock) -> None:
    text = WATCHED.replace("defaults: {", "defaults: {sampled: semantic, ")
    async with bench(clock, text=text) as made:
        lead = await leading(made.at.engine, request(ASKED, seeded=True))
        assert lead.miss.reason is Reason.SHADOW
        made.settle(lead, saying("one draw of many"))
    assert made.judge.asked == []


async def test_an_answer_that_is_not_stored_is_not_compared(clock: FakeClock) -> None:
    async with bench(clock) as made:
        lead = await leading(made.at.engine, request(ASKED))
        made.settle(lead, saying("cut of", finish="length"))
    assert made.judge.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        saying(None, refusal="I cannot say."),
        saying("x" * (MOST_CHARS + 1)),
        saying(None, tool_calls=(ToolCall("1", "f", "{}"),), finish="tool_calls"),
    ],
)
async def test_what_is_no_text_of_some_length_is_unclear(answer: Answer, clock: FakeClock) -> None:
    async with bench(clock) as made:
        made.settle(await leading(made.at.engine, request(ASKED)), answer)
    assert made.not_compared == ["unclear"]


async def test_a_stored_answer_that_is_no_text_is_unclear(clock: FakeClock) -> None:
    async with bench(clock) as made:
        lead = await anew(made.at.engine, request(STORED))
        made.settle(lead, saying(None, refusal="I cannot say."))
        made.settle(await leading(made.at.engine, request(ASKED)), saying("the fresh one"))
    assert made.judge.asked == []
    assert made.not_compared == ["unclear"]


async def test_a_judge_that_cannot_say_teaches_nothing(clock: FakeClock) -> None:
    async with bench(clock, Scripted(says=None)) as made:
        made.settle(await leading(made.at.engine, request(ASKED)), saying("the fresh one"))
    assert (made.verified, made.not_compared) == ([], ["unclear"])


async def test_a_judge_that_fails_is_counted(clock: FakeClock) -> None:
    async with bench(clock, Scripted(says=JudgeError("no answer"))) as made:
        made.settle(await leading(made.at.engine, request(ASKED)), saying("the fresh one"))
    assert (made.verified, made.not_compared) == ([], ["failed"])
    assert made.at.seen.of(Failed) == [Failed("compare", "JudgeError")]


async def test_what_cannot_be_paid_is_counted(clock: FakeClock) -> None:
    async with bench(clock) as made:
        broke = replace(made.comparing, affordable=lambda: False)
        replace(made, comparing=broke).settle(
            await leading(made.at.engine, request(ASKED)), saying("the fresh one")
        )
    assert (made.judge.asked, made.not_compared) == ([], ["unpaid"])


async def test_past_the_queues_bound_comparisons_are_dropped_and_counted(
    clock: FakeClock,
) -> None:
    async with bench(clock, limit=1) as made:
        for more in ("now", "again", "once"):
            lead = await leading(made.at.engine, request(f"{ASKED} {more}"))
            made.settle(lead, saying("the fresh one"))
            async with asyncio.timeout(10):
                await made.judge.entered.wait()  # the first is at work, the second waits
    assert made.not_compared == ["dropped"]
    assert len(made.verified) == 2


async def test_an_entry_that_left_meanwhile_is_counted_as_gone(clock: FakeClock) -> None:
    async with bench(clock) as made:
        lead = await leading(made.at.engine, request(ASKED))
        assert lead.miss.key is not None
        made.at.engine.memory.clear()
        await made.at.store.delete([lead.miss.key])  # type: ignore[list-item]
        made.settle(lead, saying("the fresh one"))
    assert made.not_compared == ["gone"]


async def test_a_store_that_fails_meanwhile_is_counted(clock: FakeClock) -> None:
    async with bench(clock) as made:
        lead = await leading(made.at.engine, request(ASKED))
        made.at.engine.memory.clear()
        made.at.store.troubles["get"] = down()
        made.settle(lead, saying("the fresh one"))
    assert made.not_compared == ["gone"]
    assert made.at.seen.of(Failed) == [Failed("compare", "StoreError")]
