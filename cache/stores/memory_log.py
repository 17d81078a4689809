"""The change log of a memory store: for the engines of one process that share it."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from itertools import islice

from ..errors import StoreError
from ..ports import Change, EntryKey, Gap, News, Position

KEPT = 10_000  # changes: about 2 MB
NOBODY = bytes(8)  # whoever shares the store tells through the same log


class MemoryLog:
    """The last changes in a queue, and who waits for the next one."""

    def __init__(self, kept: int = KEPT) -> None:
        self._changes: deque[Change] = deque(maxlen=kept)
        self._last: Position = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False
        self._origin = secrets.token_bytes(8)

    def __repr__(self) -> str:
        return f"<MemoryLog at {self._last}>"

    @property
    def origin(self) -> bytes:
        """Return a mark that no change bears."""
        return self._origin

    async def tell(self, news: Sequence[News]) -> Position:
        """Add ``news``; return the position of the last."""
        self.add(news)
        return self._last

    def add(self, news: Sequence[News]) -> None:
        """Add ``news``, and wake who waits."""
        self._check_open()
        for one in news:
            self._last += 1
            self._changes.append(Change(self._last, NOBODY, one.kind, one.body))
        if news:
            self._wake()

    async def since(self, after: Position, limit: int, wait_s: float) -> Sequence[Change] | Gap:
        """Return at most ``limit`` changes after ``after``, or wait for one."""
        self._check_open()
        if after == self._last and wait_s > 0:
            await self._next(wait_s)
            self._check_open()
        if after > self._last:
            return Gap("behind")
        passed = len(self._changes) - (self._last - after)
        if passed < 0:
            return Gap("trimmed")
        return list(islice(self._changes, passed, passed + limit))

    async def latest(self) -> Position:
        """Return the position of the last change."""
        self._check_open()
        return self._last

    async def admitted(self, limit: int) -> Sequence[EntryKey]:
        """Return the keys of the last admissions, newest first."""
        self._check_open()
        admissions = (change for change in reversed(self._changes) if change.kind == "admit")
        keys = (key for change in admissions for key in change.keys)
        return list(islice(dict.fromkeys(keys), limit))

    def close(self) -> None:
        """Refuse what comes, and send away who waits."""
        self._closed = True
        self._changes.clear()
        self._wake()

    async def _next(self, wait_s: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(turn)
        try:
            await asyncio.wait({turn}, timeout=wait_s)
        finally:
            self._waiting.discard(turn)

    def _wake(self) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("memory store: closed")
