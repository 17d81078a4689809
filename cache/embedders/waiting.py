"""Callers who wait for the vector of a text: joining, deadline, and nobody left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..errors import EmbedderError, EmbedderTimeout
from ..ports import Vector

Outcome = (
    Vector | EmbedderError | None
)  # errors travel as values: a future nobody awaits stays quiet


@dataclass(slots=True, eq=False)
class Work:
    """A text that somebody waits for. Without waiters it need not be encoded any more."""

    text: str
    waiters: list[asyncio.Future[Outcome]] = field(default_factory=list)


class WaitingRoom:
    """Lets equal texts share one ``Work``, each caller with a deadline of its own.

    Belongs to one event loop. Only ``Work.waiters`` may be looked at by another thread.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._works: dict[str, Work] = {}

    def __len__(self) -> int:
        return len(self._works)

    async def wait(self, text: str, submit: Callable[[Work], None]) -> Vector | None:
        """Wait for the outcome of ``text``. ``submit`` gets the work if nobody waits for it yet.

        Raises what ``submit`` raises, ``EmbedderTimeout``, or the error that was the outcome.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Outcome] = loop.create_future()
        work = self._works.get(text)
        if work is None:
            work = Work(text, [waiter])  # before it is submitted: a work without waiters is dropped
            submit(work)
            self._works[text] = work
        else:
            work.waiters.append(waiter)
        timer = loop.call_later(self._deadline_s, self._expire, waiter)
        try:
            outcome = await waiter
        finally:
            timer.cancel()
            self._leave(work, waiter)
        if isinstance(outcome, EmbedderError):
            raise type(outcome)(*outcome.args) from outcome.__cause__
        return outcome

    def settle(self, outcomes: Iterable[tuple[Work, Outcome]]) -> None:
        """Give every caller of each work its outcome."""
        for work, outcome in outcomes:
            if self._works.get(work.text) is work:
                del self._works[work.text]
            for waiter in work.waiters:
                if not waiter.done():
                    waiter.set_result(outcome)

    def fail_all(self, error: EmbedderError) -> None:
        """Give everybody who waits ``error``."""
        self.settle([(work, error) for work in self._works.values()])

    def _expire(self, waiter: asyncio.Future[Outcome]) -> None:
        if not waiter.done():
            waiter.set_result(EmbedderTimeout(f"no vector within {self._deadline_s:g} s"))

    def _leave(self, work: Work, waiter: asyncio.Future[Outcome]) -> None:
        work.waiters.remove(waiter)
        if not work.waiters and self._works.get(work.text) is work:
            del self._works[work.text]
