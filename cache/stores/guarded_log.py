"""Deadlines for a change log. No breaker: who follows a log waits a while after each failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from ..errors import StoreError
from ..ports import Change, ChangeLog, EntryKey, Gap, News, Position

T = TypeVar("T")


class GuardedLog:
    """Answers or raises ``StoreError`` within the deadline, and what was to be waited for."""

    def __init__(self, inner: ChangeLog, deadline_s: float) -> None:
        self._inner = inner
        self._deadline_s = deadline_s

    def __repr__(self) -> str:
        return f"<GuardedLog of {self._inner!r}>"

    @property
    def origin(self) -> bytes:
        """Return the mark of the log beneath."""
        return self._inner.origin

    async def tell(self, news: Sequence[News]) -> Position:
        """Add ``news``; what is late may still be told."""
        return await timed(self._deadline_s, partial(self._inner.tell, news))

    async def since(self, after: Position, limit: int, wait_s: float) -> Sequence[Change] | Gap:
        """Return changes, or wait for one and the deadline."""
        call = partial(self._inner.since, after, limit, wait_s)
        return await timed(wait_s + self._deadline_s, call)

    async def latest(self) -> Position:
        """Return the position of the last change."""
        return await timed(self._deadline_s, self._inner.latest)

    async def admitted(self, limit: int) -> Sequence[EntryKey]:
        """Return the keys of the last admissions."""
        return await timed(self._deadline_s, partial(self._inner.admitted, limit))


async def timed(deadline_s: float, call: Callable[[], Awaitable[T]]) -> T:
    """Make ``call`` within the deadline, or raise ``StoreError``."""
    try:
        async with asyncio.timeout(deadline_s):
            return await call()
    except TimeoutError as exc:
        raise StoreError(f"store: no answer within {deadline_s:g} s") from exc
