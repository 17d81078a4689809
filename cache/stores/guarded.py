"""Deadlines and a circuit breaker around a store: a store that is down costs almost nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import TypeVar

from ..breaker import Breaker
from ..errors import StoreError
from ..ports import Clock, EntryKey, Store
from .guarded_log import GuardedLog, timed

T = TypeVar("T")


class GuardedStore:
    """Answers or raises ``StoreError`` within the deadline, and at once while the store is down.

    Reads and writes have a breaker each: a full disk must not stop reads. A write that is late
    may still be carried out. While the store is scrubbed, all but reading answers waits.
    """

    def __init__(
        self,
        inner: Store,
        *,
        read_deadline_s: float,
        write_deadline_s: float,
        open_deadline_s: float = 15.0,  # a large write-ahead log is replayed at opening
        scrub_deadline_s: float = 600.0,  # a large file is written anew
        clock: Clock = time.monotonic,
    ) -> None:
        self._inner = inner
        self._read_deadline_s = read_deadline_s
        self._write_deadline_s = write_deadline_s
        self._open_deadline_s = open_deadline_s
        self._scrub_deadline_s = scrub_deadline_s
        self._scrubs = 0  # under way
        self._scrubbed = asyncio.Event()
        self._scrubbed.set()
        self._reads = Breaker(clock)
        self._writes = Breaker(clock)
        self._leases = Breaker(clock)  # late while much is written: no reason to write less
        self._log = GuardedLog(inner.changes, write_deadline_s)

    def __repr__(self) -> str:
        return f"<GuardedStore reads={self._reads!r} writes={self._writes!r} of {self._inner!r}>"

    @property
    def degraded(self) -> bool:
        """Say whether reads or writes are being refused, for health reports."""
        return self._reads.is_open or self._writes.is_open

    @property
    def refused(self) -> dict[str, bool]:
        """Say for "reads" and "writes" whether they are being refused."""
        return {"reads": self._reads.is_open, "writes": self._writes.is_open}

    @property
    def changes(self) -> GuardedLog:
        """Return the log of the store beneath, with the write deadline."""
        return self._log

    async def open(self) -> None:
        """Open the store beneath. May be tried again after a failure."""
        await timed(self._open_deadline_s, self._inner.open)

    async def get(self, key: EntryKey) -> bytes | None:
        """Return the payload under ``key`` within the read deadline."""
        return await _guarded(self._reads, self._read_deadline_s, partial(self._inner.get, key))

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        """Keep an entry within the write deadline."""
        call = partial(self._inner.put, key, payload, record, retention_s)
        await self._unhurried(self._writes, call)

    async def delete(self, keys: Collection[EntryKey]) -> None:
        """Delete entries within the write deadline."""
        call = partial(self._inner.delete, keys)
        await self._unhurried(self._writes, call)

    async def scrub(self) -> None:
        """Leave nothing of what was deleted, within a deadline of its own."""
        self._scrubs += 1
        self._scrubbed.clear()
        try:
            await _guarded(self._writes, self._scrub_deadline_s, self._inner.scrub)
        finally:
            self._scrubs -= 1
            if not self._scrubs:
                self._scrubbed.set()

    async def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        """Iterate over the index records; the write deadline holds for each step.

        Off the request path, hence the longer deadline.
        """
        iterator = self._inner.records()
        end = None
        while True:
            call = partial(anext, iterator, end)
            item = await self._unhurried(self._reads, call)
            if item is None:
                return
            yield item

    async def records_of(self, keys: Collection[EntryKey]) -> dict[EntryKey, bytes]:
        """Return index records within the write deadline: off the request path."""
        call = partial(self._inner.records_of, keys)
        return await self._unhurried(self._reads, call)

    async def claim(self, name: str, value: bytes) -> bytes:
        """Return what is kept under ``name``, within the write deadline."""
        call = partial(self._inner.claim, name, value)
        return await self._unhurried(self._writes, call)

    async def count(self, ledger: str, amounts: Mapping[str, int]) -> None:
        """Add to counters within the write deadline."""
        call = partial(self._inner.count, ledger, amounts)
        await self._unhurried(self._writes, call)

    async def counts(self, ledger: str) -> dict[str, int]:
        """Return counters within the write deadline: off the request path, and possibly many."""
        call = partial(self._inner.counts, ledger)
        return await self._unhurried(self._reads, call)

    async def uncount(self, ledger: str, names: Collection[str]) -> None:
        """Drop counters within the write deadline."""
        call = partial(self._inner.uncount, ledger, names)
        await self._unhurried(self._writes, call)

    async def lease(self, name: str, token: bytes, ttl_s: float) -> bool:
        """Take or renew a lease within the read deadline: a caller waits for it."""
        call = partial(self._inner.lease, name, token, ttl_s)
        return await _guarded(self._leases, self._read_deadline_s, call)

    async def release(self, name: str, token: bytes) -> None:
        """Free a lease within the write deadline."""
        call = partial(self._inner.release, name, token)
        await _guarded(self._leases, self._write_deadline_s, call)

    async def aclose(self) -> None:
        """Close the store beneath."""
        await timed(self._open_deadline_s, self._inner.aclose)

    async def _unhurried(self, breaker: Breaker, call: Callable[[], Awaitable[T]]) -> T:
        await self._scrubbed.wait()  # its own deadline bounds that
        return await _guarded(breaker, self._write_deadline_s, call)


async def _guarded(breaker: Breaker, deadline_s: float, call: Callable[[], Awaitable[T]]) -> T:
    ticket = breaker.enter()
    if ticket is None:
        raise StoreError("store: not asked, it failed several times in a row")
    try:
        result = await timed(deadline_s, call)
    except StoreError:
        breaker.failed(ticket)
        raise
    except BaseException:
        breaker.abandoned(ticket)
        raise
    breaker.succeeded(ticket)
    return result
