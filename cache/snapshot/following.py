"""From a snapshot to what the store has now: the store is right, the snapshot is of the past."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from ..entries.entry import IndexRecord
from ..entries.listing import decoded, records_in
from ..entries.memory import Memory
from ..errors import CorruptRecord
from ..ports import EntryKey, Gap, Position, Store

AT_ONCE = 256  # changes read, keys asked for
Wanted = Callable[[EntryKey, IndexRecord], bool]


@dataclass(frozen=True, slots=True)
class Following:
    """Brings the table of ``staged`` up to date. ``wanted`` says which records may be taken in.

    Every method raises ``StoreError``.
    """

    store: Store
    staged: Memory
    wanted: Wanted

    async def catch_up(self, after: Position) -> Position | None:
        """Apply all that follows ``after``; return up to where, None where the log has a gap."""
        while changes := await self.store.changes.since(after, AT_ONCE, 0.0):
            if isinstance(changes, Gap):
                return None
            await self._look({key for one in changes if one.kind != "notice" for key in one.keys})
            after = changes[-1].position
        return after

    async def compare(self) -> None:
        """Have all that the store lists, and nothing else. About 30 us a record."""
        listed: set[EntryKey] = set()
        async for key, record in records_in(self.store):
            listed.add(key)
            self._settle(key, record, again=False)
        table = self.staged.table
        for key in set(table.keys_of()) - listed:
            table.remove(key)

    async def _look(self, keys: Collection[EntryKey]) -> None:
        waiting = list(keys)
        for start in range(0, len(waiting), AT_ONCE):
            some = waiting[start : start + AT_ONCE]
            records = await self.store.records_of(some)
            for key in some:
                self._settle(key, decoded(records.get(key)), again=True)

    def _settle(self, key: EntryKey, record: IndexRecord | None, *, again: bool) -> None:
        """Have what the store has under ``key``; ``again`` also where it looks the same."""
        table = self.staged.table
        known = table.get(key)
        if record is None or not self.wanted(key, record):
            table.remove(key)
        elif again or known is None or known.created_s != record.created_s:
            table.remove(key)
            with suppress(CorruptRecord):
                self.staged.adopt(key, record)
