"""Reading all records of the store: at the start, and when it is not known what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from ..engine import Engine
from ..ports import EntryKey
from .looking import look, take

NEWEST = 10_000  # admissions of the log that are taken in first; they are read twice
BATCH = 64  # records taken in before other work gets its turn


@dataclass(slots=True, eq=False)
class Filling:
    """Fills table and index. Changes that are followed meanwhile are newer than what it reads."""

    engine: Engine
    rebuilding: bool = False
    _passed: set[EntryKey] = field(default_factory=set)
    _under_way: asyncio.Lock = field(default_factory=asyncio.Lock)

    def passed(self, keys: Iterable[EntryKey]) -> None:
        """Leave ``keys`` alone while records are being read: the log has told something of them."""
        if self._under_way.locked():
            self._passed.update(keys)

    async def load(self) -> None:
        """Take in all records, the newest admissions first. Raises ``StoreError``."""
        async with self._under_way:
            self._passed.clear()
            await self._newest()
            await self._all()

    async def rebuild(self) -> None:
        """Take in all records, and drop what the store does not have. Raises ``StoreError``."""
        async with self._under_way:
            self._passed.clear()
            self.rebuilding = True
            try:
                listed = await self._all()
                held = self.engine.memory.table.keys_of()
                # Looked at one by one, for they may have been stored after the list was read.
                await look(self.engine, [key for key in held if key not in listed])
            finally:
                self.rebuilding = False

    async def _newest(self) -> None:
        """Begin with what is likely to be asked again soon."""
        keys = await self.engine.store.changes.admitted(NEWEST)
        await look(self.engine, keys)
        self._passed.update(keys)

    async def _all(self) -> set[EntryKey]:
        memory, number = self.engine.memory, count(1)
        listed: set[EntryKey] = set()
        doubtful: list[EntryKey] = []  # the list may be older than what is held
        async for key, data in self.engine.store.records():
            listed.add(key)
            told = key in self._passed or memory.writer.is_busy(key)
            if not told and not take(self.engine, key, data, if_new=True):
                doubtful.append(key)
            if next(number) % BATCH == 0:
                await asyncio.sleep(0)
        await look(self.engine, doubtful)
        return listed
