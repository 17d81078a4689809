"""Removing entries by category, wherever they are: memory, table, store."""

from __future__ import annotations

from ..engine import Engine
from ..entries.listing import records_in


async def purge(engine: Engine, category: str | None) -> int:
    """Remove every entry of ``category``, or all with None; return how many there were.

    What is in memory is gone when this begins to wait; the store's part is done when it returns.
    Raises ``StoreError`` when the store cannot be read.
    """
    keys = set(engine.memory.table.keys_of(category))
    keys.update(engine.memory.hot.keys_of(category))  # the table does not know all of them
    engine.memory.remove(keys, "purged")
    async for key, record in records_in(engine.store):
        if record is None or category in {None, record.category}:  # None: of no use to anyone
            keys.add(key)
    engine.memory.remove(keys, "purged")
    await engine.memory.writer.drain()
    return len(keys)
