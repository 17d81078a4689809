"""Making what this process holds of some keys what the store has under them.

What was told says where to look, not what to believe: in whatever order changes are heard, and
however often, what is held ends as what is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..engine import Engine
from ..entries.entry import IndexRecord, decode_record
from ..errors import CorruptRecord
from ..events import Failed
from ..ports import EntryKey

CHUNK = 128  # records read in one round trip, and taken in before other work gets its turn: 10 ms


async def look(engine: Engine, keys: Sequence[EntryKey]) -> set[EntryKey]:
    """Read the records of ``keys``, and take in, replace or drop what is held of them.

    Returns the keys that this process was changing meanwhile: they must be looked at again.
    Raises ``StoreError``.
    """
    again: set[EntryKey] = set()
    for start in range(0, len(keys), CHUNK):
        again |= await _look(engine, keys[start : start + CHUNK])
        await asyncio.sleep(0)
    return again


def take(engine: Engine, key: EntryKey, data: bytes, *, if_new: bool = False) -> bool:
    """Take in what the store has under ``key``, unless it was removed or cannot be read.

    ``if_new``: return False, and do nothing, where another answer is held.
    """
    memory = engine.memory
    try:
        record = decode_record(data)
        if if_new and key in memory.table and not memory.has(key, record):
            return False
        if wanted(engine, key, record):
            memory.follow(key, record)
        else:
            memory.forget([key])
    except CorruptRecord as exc:
        engine.observer.notify(Failed("load", type(exc).__name__))
        memory.forget([key])
    return True


def wanted(engine: Engine, key: EntryKey, record: IndexRecord) -> bool:
    """Say whether a record of the store may be taken in; note what is to be swept."""
    covered = engine.invalidated.covers_record(key, record)
    engine.invalidated.due |= covered  # a write that came too late, or one that nobody removed
    if covered:
        engine.left_out.add(key, engine.invalidated.known)
    return not covered


async def _look(engine: Engine, keys: Sequence[EntryKey]) -> set[EntryKey]:
    memory = engine.memory
    again = {key for key in keys if memory.writer.is_busy(key)}
    held = {key: memory.table.admission(key) for key in keys if key not in again}
    records = await engine.store.records_of(held)
    for key, admission in held.items():
        if memory.writer.is_busy(key) or memory.table.admission(key) != admission:
            again.add(key)
        elif key in records:
            take(engine, key, records[key])
        else:
            engine.left_out.gone(key)
            if not _has_expired(engine, key):
                memory.forget([key])
    return again


def _has_expired(engine: Engine, key: EntryKey) -> bool:
    """Say whether an entry is about to be removed for its age, which is nobody else's doing."""
    entry = engine.memory.table.get(key)
    return entry is not None and entry.expires_s <= engine.clock()
