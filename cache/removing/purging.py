"""Removing entries by category, wherever they are: memory, table, store."""

from __future__ import annotations

from ..engine import Engine
from ..entries.entry import decode_record
from ..errors import CorruptRecord
from ..ports import EntryKey


async def purge(engine: Engine, category: str | None) -> int:
    """Remove every entry of ``category``, or all with None; return how many there were.

    What is in memory is gone when this begins to wait; the store's part is done when it returns.
    Raises ``StoreError`` when the store cannot be read.
    """
    keys = set(engine.memory.table.keys_of(category))
    keys.update(engine.memory.hot.keys_of(category))  # the table does not know all of them
    engine.memory.remove(keys, "purged")
    async for key, data in engine.store.records():
        if category is None or _category(data) in {category, None}:
            keys.add(EntryKey(key))
    engine.memory.remove(keys, "purged")
    await engine.memory.writer.drain()
    return len(keys)


def _category(data: bytes) -> str | None:
    try:
        return decode_record(data).category
    except CorruptRecord:
        return None  # of no use to anyone
