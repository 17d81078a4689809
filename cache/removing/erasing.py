"""Erasing what one subject asked: memory, store, and what the store's files still hold of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ..embedders.memo import Memo
from ..engine import Engine
from ..entries.entry import IndexRecord, decode_record
from ..errors import CorruptRecord, StoreError
from ..learning.blocked import wording
from ..ports import EntryKey, PartitionKey
from .erased import Subject


@dataclass(frozen=True, slots=True)
class _Found:
    """Entries of the store that must go, and what tells of them elsewhere."""

    keys: set[EntryKey] = field(default_factory=set)
    wordings: set[bytes] = field(default_factory=set)
    listed: set[EntryKey] = field(default_factory=set)  # all that the store has


async def erase(engine: Engine, subject: Subject) -> int:
    """Erase every entry of ``subject``, with all that was derived from it; return how many.

    When this begins to wait, nothing of it is served or stored any more, here. When it returns,
    that is known to the store, and so to other processes and after a restart, and no byte of it
    is left where the store can help it. Raises ``StoreError``: then the upkeep tries again, and
    whoever must be sure erases again.
    """
    if not engine.erased.add(subject):
        raise StoreError("no room to note one more erasure")
    engine.erased.scrub_due = True  # of what had expired or was evicted before, too
    await engine.erased.send(engine.store)
    return await sweep(engine)


async def sweep(engine: Engine) -> int:
    """Remove what the notices cover, from memory and store. Raises ``StoreError``."""
    erased = engine.erased
    erased.due = False  # what becomes due from here on is for another one
    done = False
    try:
        await _drop_copies(engine)
        count = await _remove(engine)
        await _drop_copies(engine)  # those made meanwhile
        if isinstance(engine.embedder, Memo):
            engine.embedder.forget()
        if erased.scrub_due:
            await _scrub(engine)
        done = True
    finally:
        erased.due |= not done
    return count


async def _drop_copies(engine: Engine) -> None:
    for drop in engine.erased.copies:
        await drop()


async def _scrub(engine: Engine) -> None:
    erased, done = engine.erased, False
    erased.scrub_due = False
    try:
        await engine.store.scrub()
        done = True
    finally:
        erased.scrub_due |= not done


async def _remove(engine: Engine) -> int:
    memory = engine.memory
    held = {key: memory.table.admission(key) for key in memory.table.keys_of()}
    await memory.writer.drain()  # what is being written shows in the list below
    found = await _find(engine)
    # The table does not say whose its entries are. What the store does not have was evicted by
    # another process, or could not be written: a miss more, for whoever's it was.
    strays = {
        key
        for key, admission in held.items()
        if key not in found.listed and memory.table.admission(key) == admission
    }
    memory.remove(found.keys | strays, "erased")
    for key in memory.hot:
        if key not in found.listed:
            memory.hot.discard(key)
    engine.aliases.forget(found.keys | strays)
    await engine.blocked.forget(engine.store, found.keys, found.wordings)
    await memory.writer.drain()
    if found.keys:
        await engine.store.delete(found.keys)  # again, since a queued deletion may have failed
        engine.erased.scrub_due = True
    return len(found.keys)


async def _find(engine: Engine) -> _Found:
    found = _Found()
    async for key, data in engine.store.records():
        found.listed.add(key)
        record = _decoded(data)
        if record is None:
            found.keys.add(key)  # whose it was cannot be told; of no use to anyone
        elif engine.erased.covers_record(record):
            found.keys.add(key)
            found.wordings.update(_wordings(record))
    return found


def _wordings(record: IndexRecord) -> Collection[bytes]:
    places = {record.partition, record.loose_partition} - {b""}
    return {wording(PartitionKey(place), record.prompt) for place in places}


def _decoded(data: bytes) -> IndexRecord | None:
    try:
        return decode_record(data)
    except CorruptRecord:
        return None
