"""What becomes of an answer: kept or refused, and the flight ends either way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kindcache.cache.asking.identity import Request
from kindcache.cache.entries.entry import Answer, Choice, Payload, ToolCall
from kindcache.cache.events import Answered, Failed, NotStored, Stored
from kindcache.cache.outcome import Follow
from kindcache.cache.removing.entry_facts import whose_is
from kindcache.cache.settling import Received, release, settle
from kindcache.policies.facts import Directives
from kindcache.policies.verdict import Admit, Reason, Refuse
from tests.cache.small_engine import answer, found, leading, received, request, running
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

TOOLS = Answer("m", 1, (Choice(None, "tool_calls", (ToolCall("1", "f", "{}"),)),))


def finished(*reasons: str) -> Answer:
    return Answer("m", 1, tuple(Choice("x", reason) for reason in reasons))


@pytest.mark.parametrize(
    ("asked", "got", "reason"),
    [
        (request("hi"), received(status=500), Reason.STATUS),
        (request("hi"), received(status=302), Reason.STATUS),
        (request("hi"), Received(Reason.INCOMPLETE, 200), Reason.INCOMPLETE),
        (request("hi"), Received(Reason.UNSUPPORTED, 200), Reason.UNSUPPORTED),
        (request("hi"), Received(finished("length"), 200), Reason.FINISH_REASON),
        (request("hi"), Received(finished("content_filter"), 200), Reason.FINISH_REASON),
        (request("hi"), Received(finished("stop", "stop"), 200), Reason.INCOMPLETE),
        (request("hi", choices=2), Received(finished("stop"), 200), Reason.INCOMPLETE),
        (request("hi", choices=2), Received(finished("stop", "length"), 200), Reason.FINISH_REASON),
        (request("hi", has_tools=True), Received(TOOLS, 200), Reason.TOOL_CALLS),
        (
            request("hi"),
            replace(received(), upstream_no_store=True),
            Reason.UPSTREAM_NO_STORE,
        ),
        (
            request("hi", directives=Directives(no_store=True)),
            received(),
            Reason.CLIENT_NO_STORE,
        ),
        (
            request("hi", directives=Directives(ttl_s=0.0)),
            received(),
            Reason.CLIENT_NO_STORE,
        ),
    ],
)
async def test_answers_that_are_not_kept(
    asked: Request, got: Received, reason: Reason, clock: FakeClock
) -> None:
    async with running(clock) as at:
        lead = await leading(at.engine, asked)
        assert settle(at.engine, lead, got) == Refuse(reason)
        assert at.seen.of(NotStored) == [NotStored("default", reason)]
        assert at.seen.of(Stored) == []
        assert len(at.engine.memory.table) == len(at.engine.flights) == 0
        await at.engine.memory.writer.drain()
        assert "put" not in at.store.calls


async def test_a_kept_answer_is_served_to_the_next_and_reported(clock: FakeClock) -> None:
    async with running(clock) as at:
        lead = await leading(at.engine, request("hi"))
        clock.advance(3.0)
        got = Received(answer("hello"), 200, size_bytes=5, first_byte_s=0.1, total_s=0.5)
        assert settle(at.engine, lead, got) == Admit(3600.0)
        assert at.seen.of(Stored) == [Stored("default", 5)]
        assert at.seen.of(Answered) == [Answered("m", 200, 0.1, 0.5, "default", complete=True)]
        kept = (await found(at.engine, request("hi"))).payload
        made = Payload(answer("hello"), "default", "hi", clock(), "openai.chat", None, 0.5)
        assert kept == replace(made, model="m", whose=whose_is(lead.ask))


async def test_several_choices_are_kept_together(clock: FakeClock) -> None:
    async with running(clock) as at:
        asked = request("hi", choices=2)
        lead = await leading(at.engine, asked)
        assert isinstance(settle(at.engine, lead, Received(finished("stop", "stop"), 200)), Admit)
        assert len((await found(at.engine, asked)).payload.answer.choices) == 2


async def test_tool_calls_are_kept_where_the_category_says_so(clock: FakeClock) -> None:
    async with running(clock, text="defaults: {tool_answers: true}") as at:
        asked = request("hi", has_tools=True)
        settle(at.engine, await leading(at.engine, asked), Received(TOOLS, 200))
        assert (await found(at.engine, asked)).payload.answer.has_tool_calls


@pytest.mark.parametrize("kept", [True, False])
async def test_followers_get_only_what_was_kept(kept: bool, clock: FakeClock) -> None:
    async with running(clock) as at:
        lead = await leading(at.engine, request("hi"))
        follow = await at.engine.lookup(request("hi"))
        assert isinstance(follow, Follow)
        settle(at.engine, lead, received("hello", status=200 if kept else 500))
        shared = await follow.flight.wait()
        assert (shared is not None) == kept


async def test_a_fault_while_storing_frees_the_followers_and_is_counted(clock: FakeClock) -> None:
    async with running(clock) as at:
        lead = await leading(at.engine, request("hi"))
        assert lead.flight is not None
        broken = replace(received(), answer=replace(answer(), usage={"x": object()}))
        assert settle(at.engine, lead, broken) == Refuse(Reason.INTERNAL)
        assert at.seen.of(Failed)[0].stage == "settle"
        assert lead.flight.ended
        assert len(at.engine.memory.table) == len(at.engine.flights) == 0


async def test_releasing_ends_the_flight_and_may_be_done_again(clock: FakeClock) -> None:
    async with running(clock) as at:
        lead = await leading(at.engine, request("hi"))
        release(at.engine, lead)
        release(at.engine, lead)
        assert len(at.engine.flights) == 0
        alone = await leading(at.engine, request("hi", temperature=0.5))
        assert alone.flight is None
        release(at.engine, alone)


async def test_refusing_after_an_answer_was_kept_leaves_it(clock: FakeClock) -> None:
    async with running(clock) as at:
        settle(at.engine, await leading(at.engine, request("hi")), received("kept"))
        again = await leading(at.engine, request("hi", directives=Directives(no_cache=True)))
        settle(at.engine, again, received(status=500))
        assert (await found(at.engine, request("hi"))).payload.answer.choices[0].text == "kept"
