"""Calls that kindcache makes itself: how they look, what bounds them, and how they fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kindcache.adapters.background.own_calls import OwnCalls
from kindcache.adapters.dialects.openai_chat import OpenAIChat
from kindcache.cache.entries.entry import Answer
from kindcache.cache.errors import BudgetSpent, KindcacheError, OwnCallError
from kindcache.cache.events import OwnCall
from kindcache.cache.learning.budget import DailyBudget
from kindcache.policies.verdict import Reason
from tests.cache.small_engine import Seen
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

BODY = b'{"model": "m"}'
ANSWER = (
    b'{"model": "m", "created": 1, "choices": [{"index": 0, "finish_reason": "stop", '
    b'"message": {"role": "assistant", "content": "hi"}}]}'
)
JSON = [(b"content-type", b"application/json")]


class App:
    """Answers with ``chunks`` and keeps what it was given."""

    def __init__(self, *chunks: bytes, status: int = 200, ends: bool = True) -> None:
        self.chunks = chunks or (ANSWER,)
        self.status = status
        self.ends = ends
        self.scope: dict[str, Any] = {}
        self.body = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = dict(scope)
        self.body = (await receive())["body"]
        watcher = asyncio.create_task(receive())  # as servers' apps watch for a disconnect
        await send({"type": "http.response.start", "status": self.status, "headers": JSON})
        for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        assert not watcher.done()
        watcher.cancel()
        if self.ends:
            await send({"type": "http.response.body", "body": b""})


def calling(
    app: Any, clock: FakeClock, *, per_day: int = 9, deadline_s: float = 5.0
) -> tuple[OwnCalls, Seen]:
    seen = Seen()
    budget = DailyBudget(per_day, clock)
    made = OwnCalls(app, budget, seen, deadline_s=deadline_s, limit_bytes=1 << 20)
    return made, seen


def a_scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http",
        "path": "/v1/chat/completions",
        "query_string": b"api-version=1",
        "headers": [(b"authorization", b"Bearer alice"), *headers],
        "state": {"shared": 1},
        "extensions": {"http.response.zerocopysend": {}},
    }


async def test_a_call_is_the_callers_but_for_body_and_mark(clock: FakeClock) -> None:
    app = App()
    calls, seen = calling(app, clock)
    theirs = a_scope(
        (b"content-length", b"999"),
        (b"content-type", b"application/json; charset=utf-8"),
        (b"accept", b"text/event-stream"),
        (b"accept-encoding", b"br"),
        (b"cache-control", b"max-age=5"),
        (b"idempotency-key", b"k"),
        (b"x-kindcache-origin", b"forged"),
        (b"x-tenant", b"t"),
    )
    received = await calls.ask(OpenAIChat(), theirs, BODY, "check")
    assert isinstance(received.answer, Answer)
    assert received.answer.choices[0].text == "hi"
    assert app.body == BODY
    assert sorted(app.scope["headers"]) == [
        (b"accept", b"application/json"),
        (b"accept-encoding", b"identity"),
        (b"authorization", b"Bearer alice"),
        (b"cache-control", b"no-cache, no-store"),
        (b"content-length", b"14"),
        (b"content-type", b"application/json"),
        (b"x-kindcache-origin", b"check"),
        (b"x-tenant", b"t"),
    ]
    assert app.scope["query_string"] == b"api-version=1"
    assert app.scope["state"] == {"shared": 1}
    assert app.scope["state"] is not theirs["state"]
    assert app.scope["extensions"] == {}
    assert seen.events == [OwnCall("check", "answered")]


async def test_an_error_of_the_model_is_a_response(clock: FakeClock) -> None:
    calls, seen = calling(App(b"{}", status=500), clock)
    received = await calls.ask(OpenAIChat(), a_scope(), BODY, "check")
    assert (received.status, received.answer) == (500, Reason.STATUS)
    assert seen.events == [OwnCall("check", "answered")]


async def test_past_the_budget_nothing_is_called(clock: FakeClock) -> None:
    app = App()
    calls, seen = calling(app, clock, per_day=0)
    with pytest.raises(BudgetSpent):
        await calls.ask(OpenAIChat(), a_scope(), BODY, "judge")
    assert app.scope == {}
    assert seen.events == [OwnCall("judge", "unpaid")]


async def test_an_app_that_does_not_answer_is_ended(clock: FakeClock) -> None:
    ended = asyncio.Event()

    async def silent(_scope: Any, _receive: Any, _send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    calls, seen = calling(silent, clock, deadline_s=0.01)
    with pytest.raises(OwnCallError):
        await calls.ask(OpenAIChat(), a_scope(), BODY, "check")
    assert ended.is_set()
    assert seen.events == [OwnCall("check", "failed")]


async def test_a_response_without_an_end_is_an_error(clock: FakeClock) -> None:
    calls, seen = calling(App(ends=False), clock)
    with pytest.raises(OwnCallError):
        await calls.ask(OpenAIChat(), a_scope(), BODY, "check")
    assert seen.events == [OwnCall("check", "failed")]


async def test_an_answer_that_breaks_off_is_an_error(clock: FakeClock) -> None:
    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise KindcacheError

    calls, _ = calling(broken, clock)
    with pytest.raises(OwnCallError):
        await calls.ask(OpenAIChat(), a_scope(), BODY, "check")
