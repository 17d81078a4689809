"""A miss: the app answers, its messages pass through untouched, and a copy is recorded.

The leader's own task runs the app, so a miss costs no task. When the leader's client leaves while
others follow, the app is not told until the last of them has left.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...cache.engine import Engine
from ...cache.fail_open import fail_open
from ...cache.outcome import Lead
from ...cache.settling import Ruling, carry_out, release, rule
from ..asgi import App, Message, Receive, Scope, Send, header, without
from .recording import Recording
from .request_body import instead
from .status_headers import on_load, on_miss

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..dialects.dialect import Dialect

# The head of a whole answer up to this size waits for the first part of its body, which mostly is
# all of it: then the head can say whether it was stored. Streams never wait.
HOLD_BYTES = 64 << 10


class Leading:
    """One miss on its way through the app."""

    def __init__(
        self,
        engine: Engine,
        dialect: Dialect,
        lead: Lead,
        *,
        limit_bytes: int,
        details: bool,
        settled: Callable[[Lead, Ruling], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._engine = engine
        self._lead = lead
        self._on_settled = settled
        self._details = details
        self._recording = Recording(dialect, limit_bytes, clock)
        self._held: Message | None = None  # the start, until the first part of the body is here
        self._ruling: Ruling | None = None
        self._settled = False
        self._client_here = True
        self._receive: Receive
        self._send: Send

    async def run(self, app: App, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        """Run ``app`` and answer the caller; the flight ends on every way out."""
        self._receive, self._send = receive, send
        try:
            await app(readable(scope, body), instead(body, self._receive_after_body), self._take)
            await self._flush()
        finally:
            self._settle()
            release(self._engine, self._lead)

    async def _receive_after_body(self) -> Message:
        message = await self._receive()
        flight = self._lead.flight
        if message["type"] == "http.disconnect" and flight is not None:
            self._client_left()
            await flight.abandoned()
        return message

    async def _take(self, message: Message) -> None:
        with fail_open(self._engine.observer, "recording"):
            self._recording.take(message)
        if self._lead.flight is not None:
            self._lead.flight.publish(dict(message))
        if message["type"] == "http.response.start" and self._may_hold(message):
            self._held = message
            return
        if self._recording.ended and self._ruling is None:
            self._rule()
        await self._flush()
        await self._pass_on(message)
        if self._recording.ended:
            self._settle()

    def _rule(self) -> Ruling:
        self._ruling = rule(self._engine, self._lead, self._recording.received())
        return self._ruling

    def _settle(self) -> None:
        """Carry the ruling out, once, after the caller has the answer."""
        if not self._settled:
            self._settled = True
            ruling = self._ruling or self._rule()
            carry_out(self._engine, self._lead, ruling)
            if self._on_settled is not None:
                self._on_settled(self._lead, ruling)

    async def _flush(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await self._pass_on(held)

    async def _pass_on(self, message: Message) -> None:
        if not self._client_here:
            return
        if message["type"] == "http.response.start":
            stored = self._ruling is not None and self._ruling.stores
            extra = on_miss(self._lead, stored=stored, details=self._details)
            if self._details:
                extra += on_load(self._engine.policy.load(self._lead.ask.call.model))
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        try:
            await self._send(message)
        except OSError:
            if self._lead.flight is None or not self._lead.flight.followers:
                raise
            self._client_left()

    def _client_left(self) -> None:
        if self._client_here and self._lead.flight is not None:
            self._client_here = False
            self._lead.flight.leave()

    def _may_hold(self, start: Message) -> bool:
        length = header(start.get("headers", ()), b"content-length") or b""
        return not self._recording.streamed and length.isdigit() and int(length) <= HOLD_BYTES


def readable(scope: Scope, body: bytes) -> Scope:
    """Return ``scope`` asking for an answer that can be read, with the length of ``body``."""
    headers = without(scope["headers"], b"accept-encoding", b"content-length", b"transfer-encoding")
    headers += [(b"accept-encoding", b"identity"), (b"content-length", str(len(body)).encode())]
    return {**scope, "headers": headers}
