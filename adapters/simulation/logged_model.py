"""The model of a simulation: it answers as the log says, after as long as the log says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from ...cache.entries.entry import Answer, Choice
from ..asgi import Receive, Scope, Send, respond
from ..background.own_calls import ORIGIN_HEADER
from ..dialects.dialect import Unstorable
from ..dialects.openai_chat import OpenAIChat
from .request_log import Logged

NUMBER = "kindcache.simulated"  # in a scope's state: which request of the log it is
UNKNOWN = "an answer that was not logged"
_STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"),)


class LoggedModel:
    """An ASGI app. ``created`` of its answers is the number of the request that they were made for.

    The number comes back with every answer of the cache, and so tells whose answer a caller got.
    ``waited`` is called when the time of an answer has passed.
    """

    def __init__(self, requests: Sequence[Logged], waited: Callable[[], Awaitable[None]]) -> None:
        self._requests = requests
        self._waited = waited
        self._dialect = OpenAIChat()
        self.calls = 0
        self.refreshed: list[int] = []  # whose calls were made again, by the cache itself

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        number: int = scope["state"][NUMBER]
        logged = self._requests[number]
        asked = msgspec.json.decode((await receive())["body"])
        self.calls += 1
        if any(name == ORIGIN_HEADER for name, _ in scope["headers"]):
            self.refreshed.append(number)
        if logged.latency_s:
            await asyncio.sleep(logged.latency_s)
            await self._waited()
        if not 200 <= logged.status < 300:
            error = self._dialect.error("As logged.", kind="logged", code=str(logged.status))
            await respond(send, logged.status, error, ())
            return
        await self._send(logged, number, asked, send)

    async def _send(self, logged: Logged, number: int, asked: dict[str, Any], send: Send) -> None:
        answer = self._answer(logged, number, asked)
        if isinstance(answer, bytes):
            await respond(send, logged.status, answer, ())
        elif asked.get("stream") is True:
            options = asked.get("stream_options")
            usage = isinstance(options, dict) and options.get("include_usage") is True
            body = b"".join(self._dialect.frames(answer, usage=usage))
            start = {"type": "http.response.start", "status": logged.status, "headers": _STREAM}
            await send(start)
            await send({"type": "http.response.body", "body": body})
        else:
            await respond(send, logged.status, self._dialect.body(answer), ())

    def _answer(self, logged: Logged, number: int, asked: dict[str, Any]) -> Answer | bytes:
        """Return the answer, or the response as it was logged where it is not a whole one."""
        if isinstance(logged.answer, dict):
            return self._as_logged(logged.answer, number)
        text = UNKNOWN if logged.answer is None else logged.answer
        return Answer(str(asked.get("model")), number, (Choice(text, "stop"),), logged.usage)

    def _as_logged(self, response: dict[str, Any], number: int) -> Answer | bytes:
        whole = msgspec.json.encode({**response, "created": number})
        recorder = self._dialect.recorder(stream=False, limit_bytes=len(whole))
        recorder.feed(whole)
        answer = recorder.finish()
        return whole if isinstance(answer, Unstorable) else answer
