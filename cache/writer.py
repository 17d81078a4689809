"""Writes to the store in the background: bounded, in order per key, dropped and counted past it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import StoreError
from .events import Failed, Observer
from .fail_open import fail_open
from .ports import EntryKey, Store

MOST_UNHEARD = 10_000
MOST_LOST = 100_000  # keys of failed writes; about 10 MB
WORKERS = 4  # a slow write must not hold up all others


@dataclass(frozen=True, slots=True)
class Put:
    """Keep this."""

    key: EntryKey
    payload: bytes
    record: bytes
    retention_s: float


@dataclass(frozen=True, slots=True)
class Delete:
    """Drop this."""

    key: EntryKey


class Unheard:
    """Writes that the store has confirmed, and of which its log has not told yet, by key."""

    def __init__(self) -> None:
        self._done: Counter[EntryKey] = Counter()

    def confirmed(self, key: EntryKey) -> None:
        """Note that a write is done: the log has it by now."""
        if len(self._done) >= MOST_UNHEARD:  # nobody listens
            self._done.clear()
        self._done[key] += 1

    def heard(self, keys: Iterable[EntryKey]) -> None:
        """Note that the log has told of one write of each of ``keys``, or will never."""
        for key in keys:
            if key in self._done:
                _less(self._done, key)

    def now(self) -> Counter[EntryKey]:
        """Return how many there are of each key."""
        return self._done.copy()


class Writer:
    """Owns the order of writes: all jobs of one key go through one worker."""

    def __init__(self, store: Store, limit: int, observer: Observer) -> None:
        self._store = store
        self._limit = limit
        self._observer = observer
        self._queues: list[asyncio.Queue[Put | Delete]] = [asyncio.Queue() for _ in range(WORKERS)]
        self._tasks: list[asyncio.Task[None]] = []
        self._deleting: Counter[EntryKey] = Counter()
        self._busy: Counter[EntryKey] = Counter()
        self._lost: set[EntryKey] = set()
        self.unheard = Unheard()
        self.waiting = 0

    def start(self) -> None:
        """Start the workers. Needs a running event loop."""
        self._tasks = [asyncio.create_task(self._work(queue)) for queue in self._queues]

    @property
    def has_room(self) -> bool:
        """Say whether a write would be queued."""
        return self.waiting < self._limit

    def put(self, job: Put) -> bool:
        """Queue a write; False when too many are waiting, and nothing was queued."""
        if not self.has_room:
            return False
        self._enqueue(job)
        return True

    def delete(self, keys: Iterable[EntryKey]) -> None:
        """Queue deletions. Never refused: what was removed must not come back at a restart."""
        for key in keys:
            self._deleting[key] += 1
            self._enqueue(Delete(key))

    def is_deleting(self, key: EntryKey) -> bool:
        """Say whether what the store still has under ``key`` was removed, and is about to go."""
        return key in self._deleting

    def is_busy(self, key: EntryKey) -> bool:
        """Say whether something under ``key`` is being written or deleted, or is about to be."""
        return key in self._busy

    def take_lost(self) -> set[EntryKey]:
        """Return the keys of writes that failed since this was asked for the last time."""
        lost, self._lost = self._lost, set()
        return lost

    async def drain(self) -> None:
        """Wait until everything queued so far is written or has failed."""
        await asyncio.gather(*(queue.join() for queue in self._queues))

    async def aclose(self, deadline_s: float) -> None:
        """Write what is waiting for at most ``deadline_s``, then stop."""
        try:
            async with asyncio.timeout(deadline_s):
                await self.drain()
        except TimeoutError:
            self._observer.notify(Failed("writer.close", "TimeoutError"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def _enqueue(self, job: Put | Delete) -> None:
        self.waiting += 1
        self._busy[job.key] += 1
        self._queues[job.key[0] % WORKERS].put_nowait(job)

    async def _work(self, queue: asyncio.Queue[Put | Delete]) -> None:
        while True:
            job = await queue.get()
            try:
                with fail_open(self._observer, "writer"):  # one bad write must not end the worker
                    await self._do(job)
            finally:
                self.waiting -= 1
                _less(self._busy, job.key)
                if isinstance(job, Delete):
                    _less(self._deleting, job.key)
                queue.task_done()

    async def _do(self, job: Put | Delete) -> None:
        try:
            match job:
                case Put():
                    await self._store.put(job.key, job.payload, job.record, job.retention_s)
                case Delete():
                    await self._store.delete([job.key])
            self.unheard.confirmed(job.key)
        except StoreError as exc:
            if len(self._lost) < MOST_LOST:
                self._lost.add(job.key)
            stage = "store.put" if isinstance(job, Put) else "store.delete"
            self._observer.notify(Failed(stage, type(exc.__cause__ or exc).__name__))


def _less(counts: Counter[EntryKey], key: EntryKey) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
