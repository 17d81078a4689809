"""Follows the change log of the store: what other processes admit and delete, and their notices.

Where the log does not reach back, all records are read while following goes on from the log's end
(``filling``). Nothing that is still good is let go for that; hot payloads are, so that until the
records have been read every answer comes from the store, which knows what was deleted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from ..engine import Engine
from ..errors import StoreError
from ..events import Followed, Rebuilt
from ..fail_open import fail_open
from ..ports import Change, Clock, EntryKey, Gap, Position
from ..stores.memory_log import NOBODY
from .filling import Filling
from .looking import look

LIMIT = 1000  # changes read at a time
WAIT_S = 1.0  # for the first one; then the log is asked anew, which shows that it is there
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
RECORDS = b"records"  # the name of a notice: all of them may have changed

Notices = Mapping[bytes, Callable[[], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class Behind:
    """How far this process is behind the store."""

    seconds: float  # since it last knew all of the log; 0 while it waits for more
    changes: int  # heard of and not carried out; at least so many where that is LIMIT
    rebuilding: bool


@dataclass(slots=True, eq=False)
class Follower:
    """``notices`` reads what a notice of that name is about; ``work`` is the work.

    ``moved`` is told up to which position everything is carried out: None while that is not known.
    """

    engine: Engine
    notices: Notices
    moved: Callable[[Position | None], None]
    monotonic: Clock = time.monotonic
    filling: Filling = field(init=False)
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _unsettled: set[EntryKey] = field(default_factory=set)
    _position: Position = 0
    _filled: bool = False
    _pending: int = 0
    _level_s: float = 0.0

    def __post_init__(self) -> None:
        self.filling = Filling(self.engine)
        self._level_s = self.monotonic()

    def begin(self, position: Position) -> None:
        """Follow what comes after ``position``. Who reads records begins before he does."""
        if not self._begun.is_set():
            self._position = position
            self._level_s = self.monotonic()
            self._begun.set()

    def has_filled(self) -> None:
        """Note that all records were read, by whomever, since ``begin``."""
        self._filled = True
        self._move()

    def rebuild(self, cause: str) -> None:
        """Read all records soon, take in what is new, and drop what the store does not have."""
        self._filled = False
        self._move()
        self.engine.observer.notify(Rebuilt(cause))
        self.engine.memory.distrust()
        self._due.set()

    def behind(self) -> Behind:
        """Say how far behind the store this process is."""
        since_s = self.monotonic() - self._level_s
        late = self._pending or since_s > 2 * WAIT_S
        rebuilding = self._due.is_set() or self.filling.rebuilding
        return Behind(since_s if late else 0.0, self._pending, rebuilding)

    def work(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return what is to be run until it is cancelled. Nothing that fails there is raised."""
        return self._again_and_again(self.step), self._again_and_again(self._rebuild)

    async def _again_and_again(self, step: Callable[[], Awaitable[None]]) -> None:
        await self._begun.wait()
        pause_s = FIRST_PAUSE_S
        while True:
            done = False
            with fail_open(self.engine.observer, "follow"):
                await step()
                done = True
            if done:
                pause_s = FIRST_PAUSE_S
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def step(self) -> None:
        """Wait for changes and carry them out. Raises ``StoreError``; then they are read anew."""
        log, unheard = self.engine.store.changes, self.engine.memory.writer.unheard
        written, asked_s = unheard.now(), self.monotonic()
        found = await log.since(self._position, LIMIT, self._wait_s())
        if isinstance(found, Gap):
            await self._bridge(found)
            return
        if found:
            self._pending = len(found)
            await self._carry_out(found)
            self._position = found[-1].position
            self._move()
        if len(found) < LIMIT:
            # Confirmed before the log was read, and not in it: a failover has lost it.
            written.subtract(self._told_here(found))
            lost = list((+written).elements())
            self._unsettled.update(lost)
            unheard.heard(lost)
        await self._settle()
        if len(found) < LIMIT:
            self._pending = 0
            self._level_s = self.monotonic()
            if self.engine.level is not None:
                self.engine.level.heard_s = asked_s

    def _wait_s(self) -> float:
        level = self.engine.level
        if level is None:
            return WAIT_S
        return min(WAIT_S, level.look_every_s) if level.is_good() else 0.0

    async def _bridge(self, gap: Gap) -> None:
        position = await self.engine.store.changes.latest()
        for read in dict.fromkeys(self.notices.values()):
            await read()
        self._position = position
        self.rebuild(gap.cause)

    async def _carry_out(self, changes: Sequence[Change]) -> None:
        origin = self.engine.store.changes.origin
        names = {one.body for one in changes if one.kind == "notice" and one.origin != origin}
        for read in dict.fromkeys(self.notices[name] for name in names & self.notices.keys()):
            await read()
        if RECORDS in names:
            self.rebuild("told")
        keys = dict.fromkeys(key for change in changes for key in _keys(change))
        self.filling.passed(keys)
        self.engine.memory.writer.unheard.heard(self._told_here(changes))
        own = self._own(changes)
        concerned = [key for key in keys if key not in own]
        self._unsettled |= await look(self.engine, concerned)
        self.engine.observer.notify(Followed(len(concerned)))

    def _told_here(self, changes: Sequence[Change]) -> list[EntryKey]:
        """Return the keys of what this process told, or may have told."""
        marks = {self.engine.store.changes.origin, NOBODY}
        return [key for change in changes if change.origin in marks for key in _keys(change)]

    def _own(self, changes: Sequence[Change]) -> set[EntryKey]:
        """Return the keys of which only we told something, and hold what that says."""
        origin, table = self.engine.store.changes.origin, self.engine.memory.table
        own: set[EntryKey] = set()
        for change in changes:
            for key in _keys(change):
                as_told = (key in table) == (change.kind == "admit")
                if change.origin == origin and as_told and key not in self._unsettled:
                    own.add(key)
        others = (_keys(change) for change in changes if change.origin != origin)
        return own.difference(*others)

    def _move(self) -> None:
        position = self._position if self._filled else None
        self.engine.position = position
        self.moved(position)

    async def _settle(self) -> None:
        """Look again at what this process was changing itself, or could not write."""
        memory, writer = self.engine.memory, self.engine.memory.writer
        lost = writer.take_lost()
        here = {key for key in lost if key in memory.table}
        writer.delete(lost - here)  # what was removed here must not come back
        self._unsettled |= here
        self._unsettled |= self.engine.left_out.due(self.engine.invalidated.known)
        ready = [key for key in self._unsettled if not writer.is_busy(key)]
        if ready:
            self._unsettled.difference_update(ready)
            try:
                self._unsettled |= await look(self.engine, ready)
            except StoreError:
                self._unsettled.update(ready)
                raise

    async def _rebuild(self) -> None:
        await self._due.wait()
        self._due.clear()
        done = False
        try:
            await self.filling.rebuild()
            done = True
            if not self._due.is_set():
                self.has_filled()
        finally:
            if not done:
                self._due.set()


def _keys(change: Change) -> Sequence[EntryKey]:
    return () if change.kind == "notice" else change.keys
