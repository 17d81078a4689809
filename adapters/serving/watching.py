"""Times the calls that go to a model, as they pass; the answers are never held back for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from ...cache.loads import Loads, Ongoing
from ...policies.facts import Call
from ..asgi import App, Message, Receive, Scope, Send, header


@dataclass(frozen=True, slots=True)
class Watch:
    """Puts a timer around ``app`` for each call."""

    app: App
    loads: Loads
    clock: Callable[[], float] = time.monotonic

    def over(self, call: Call) -> App:
        """Return the app for one ``call``."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            ongoing = self.loads.began(call.model, streamed=call.stream)
            if ongoing is None:
                await self.app(scope, receive, send)
                return
            passing = _Passing(self.loads, ongoing, send, self.clock)
            try:
                await self.app(scope, receive, passing.take)
            finally:
                self.loads.left(ongoing)

        return watched


class _Passing:
    def __init__(
        self, loads: Loads, ongoing: Ongoing, send: Send, clock: Callable[[], float]
    ) -> None:
        self._loads = loads
        self._ongoing = ongoing
        self._send = send
        self._clock = clock
        self._status = 0
        self._retry_after_s: float | None = None
        self._size_bytes = 0
        self._idle_s = 0.0  # while the client reads

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._retry_after_s = _seconds(header(message.get("headers", ()), b"retry-after"))
        elif message["type"] == "http.response.body":
            self._size_bytes += len(message.get("body", b""))
            if self._size_bytes and 200 <= self._status < 300:
                self._loads.first_token(self._ongoing)
            if not message.get("more_body", False):
                self._loads.answered(
                    self._ongoing,
                    self._status,
                    self._size_bytes,
                    idle_s=self._idle_s,
                    retry_after_s=self._retry_after_s,
                )
        began_s = self._clock()
        await self._send(message)
        self._idle_s += self._clock() - began_s


def _seconds(value: bytes | None) -> float | None:
    """Read ``Retry-After`` in seconds; a date is left, as clocks differ (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
