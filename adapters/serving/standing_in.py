"""Stored answers stand in for a model that fails (``stale_if_error``; RFC 5861, section 4).

A failure is a status of 500 or more, which is also what the proxy makes of a refused connection
and of silence, or a connection error that the app raises. What has begun to reach the caller is
never taken back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from ...cache.asking.identity import Request
from ...cache.breaker import Pass
from ...cache.engine import Engine
from ...cache.outages import Outages
from ...cache.outcome import Found, Lead
from ...cache.settling import release
from ...cache.stale import rescue
from ..asgi import Message, Send

FAILED_FROM = 500  # status

Ask = Callable[[Send], Awaitable[None]]  # asks the model, and sends what it says
Answer = Callable[[Found, int | None], Awaitable[None]]  # sends what is stored; the model's status


@dataclass(frozen=True, slots=True)
class StandIns:
    """Asks the model, or the cache where the model fails and a stored answer may stand in."""

    engine: Engine
    outages: Outages

    async def lead(
        self, lead: Lead, request: Request, send: Send, ask: Ask, answer: Answer
    ) -> None:
        """Answer a miss. ``ask`` and ``answer`` do the sending; one of them reaches the caller."""
        ticket = self.outages.enter(request.call.model, lead.ask.key)
        try:
            if ticket is None:  # it fails for others: no need to wait for that again
                found = await self._find(request, lead)
                if found is not None:
                    release(self.engine, lead)
                    await answer(found, None)
                    return
            await self._ask(lead, request, ticket, send, ask, answer)
        finally:
            release(self.engine, lead)  # where the model was not asked

    async def _ask(
        self,
        lead: Lead,
        request: Request,
        ticket: Pass | None,
        send: Send,
        ask: Ask,
        answer: Answer,
    ) -> None:
        model, key = request.call.model, lead.ask.key
        note = partial(self.outages.settle, model, key, ticket)
        held = _Held(send, lambda: self._find(request, lead), answer, note)
        try:
            await ask(held.send)
        except OSError:
            if held.begun:
                raise
            held.note(failed=True)
            if not await held.stand_in(None):
                raise
        finally:
            if not held.noted:  # the caller left
                self.outages.abandon(model, ticket)

    async def _find(self, request: Request, lead: Lead) -> Found | None:
        return await rescue(self.engine, request, lead)


class _Held:
    """A ``send`` that passes everything on, but for failures that a stored answer stands in for."""

    def __init__(
        self,
        send: Send,
        find: Callable[[], Awaitable[Found | None]],
        answer: Answer,
        settle: Callable[..., None],
    ) -> None:
        self._send = send
        self._find = find
        self._answer = answer
        self._settle = settle
        self._stands_in = False
        self.begun = False
        self.noted = False

    async def send(self, message: Message) -> None:
        """Take the next message of the model's answer."""
        if message["type"] == "http.response.start":
            failed = message["status"] >= FAILED_FROM
            self.note(failed=failed)  # the end of a stream may be minutes away
            if failed:
                await self.stand_in(message["status"])
        if not self._stands_in:
            self.begun = True
            await self._send(message)

    def note(self, *, failed: bool) -> None:
        """Note how the model answers."""
        self.noted = True
        self._settle(failed=failed)

    async def stand_in(self, status: int | None) -> bool:
        """Send a stored answer; False when there is none."""
        found = await self._find()
        if found is None:
            return False
        self._stands_in = self.begun = True
        await self._answer(found, status)
        return True
