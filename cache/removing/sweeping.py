"""Removing what is covered wherever it still is, and of erased entries all that was made of them.

By whoever asked for it, and by the upkeep where that failed or something was written too late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from ..embedders.memo import Memo
from ..engine import Engine
from ..entries.entry import IndexRecord
from ..entries.listing import BATCH, records_in
from ..learning.blocked import wording
from ..ports import EntryKey, PartitionKey


@dataclass(slots=True)
class _Found:
    """Entries of the store that must go."""

    gone: set[EntryKey] = field(default_factory=set)
    erased: set[EntryKey] = field(default_factory=set)  # those of which no byte is to be left
    wordings: set[bytes] = field(default_factory=set)  # and how their prompts are worded
    listed: set[EntryKey] = field(default_factory=set)  # all that the store has
    undecided: int = 0


async def sweep(engine: Engine, only: Sequence[EntryKey] | None = None) -> int:
    """Remove what is covered, or what is of ``only``; return how many only a vector can tell of.

    What is due is done, or stays due. Raises ``StoreError``.
    """
    invalidated, done = engine.invalidated, False
    erasing = invalidated.erasing_due and only is None
    if only is None:
        invalidated.due = invalidated.erasing_due = False  # what becomes due now is for another
    try:
        undecided = await (_erase(engine) if erasing else _remove_covered(engine, only))
        done = True
    finally:
        invalidated.due |= not done
        invalidated.erasing_due |= erasing and not done
    return undecided


async def _remove_covered(engine: Engine, only: Sequence[EntryKey] | None) -> int:
    await engine.memory.writer.drain()  # what is being written shows in the list below
    found = await _find(engine, only)
    await _remove(engine, found.gone, "invalidated")
    if found.erased:  # it was written too late
        await _leave_nothing(engine, found)
    return found.undecided


async def _erase(engine: Engine) -> int:
    memory = engine.memory
    await _drop_copies(engine)
    held = {key: memory.table.admission(key) for key in memory.table.keys_of()}
    await memory.writer.drain()
    found = await _find(engine, None, unreadable_too=True)
    # The table does not say whose its entries are. What the store does not have was evicted by
    # another process, or could not be written: a miss more, for whoever's it was.
    strays = {
        key
        for key, admission in held.items()
        if key not in found.listed and memory.table.admission(key) == admission
    }
    for key in memory.hot:
        if key not in found.listed:
            memory.hot.discard(key)
    await _remove(engine, found.gone | strays, "erased")
    found.erased |= strays
    await _leave_nothing(engine, found)
    await _drop_copies(engine)  # those made meanwhile
    return found.undecided


async def _find(
    engine: Engine, only: Sequence[EntryKey] | None, *, unreadable_too: bool = False
) -> _Found:
    found, invalidated = _Found(), engine.invalidated
    async for key, record in records_in(engine.store, only):
        found.listed.add(key)
        if record is None:
            if unreadable_too:  # whose it was cannot be told; of no use to anyone
                _note_unreadable(engine, found, key)
            continue
        in_force = invalidated.in_force
        facts = in_force.facts_of(key, record, engine.embedder)
        covered = in_force.covers(facts, record.after)
        found.undecided += covered is None
        if covered:
            found.gone.add(key)
            invalidated.tell([facts])
            if in_force.erases(facts, record.after):
                found.erased.add(key)
                found.wordings.update(_wordings(record))
    return found


def _note_unreadable(engine: Engine, found: _Found, key: EntryKey) -> None:
    found.gone.add(key)
    found.erased.add(key)
    for tally in engine.invalidated.tallies:
        tally.unreadable += 1


async def _remove(engine: Engine, gone: Collection[EntryKey], why: str) -> None:
    keys = list(gone)
    for start in range(0, len(keys), BATCH):
        some = keys[start : start + BATCH]
        engine.memory.remove(some, why)
        await engine.memory.writer.drain()
        await engine.store.delete(some)  # again, since a queued deletion may have failed


async def _leave_nothing(engine: Engine, found: _Found) -> None:
    """Forget what was made of erased entries, and have the store write anew what held them."""
    engine.aliases.forget(found.erased)
    await engine.blocked.forget(engine.store, found.erased, found.wordings)
    if isinstance(engine.embedder, Memo):
        engine.embedder.forget()
    invalidated, done = engine.invalidated, False
    scrub = invalidated.scrub_due or bool(found.gone)
    invalidated.scrub_due = False
    try:
        if scrub:
            await engine.store.scrub()
        done = True
    finally:
        invalidated.scrub_due |= scrub and not done


async def _drop_copies(engine: Engine) -> None:
    for drop in engine.invalidated.copies:
        await drop()


def _wordings(record: IndexRecord) -> Iterator[bytes]:
    for place in {record.partition, record.loose_partition} - {b""}:
        yield wording(PartitionKey(place), record.prompt)
