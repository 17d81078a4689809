"""Invalidating: out of reach here at once, in the store before it returns, elsewhere soon after."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import count

from ...policies.lifespan import longest_life_s
from ...policies.selecting import Facts, Selector, condition
from ..engine import Engine
from ..entries.entry import IndexRecord, decode_record
from ..errors import CorruptRecord
from ..ports import EntryKey, News, Vector
from .entry_facts import of_payload, of_record
from .epoch import follow_epoch
from .invalidation import LEDGER, new

DAY_S = 86_400.0
LATE_S = 7 * DAY_S  # how long after it an answer of before may still be written
LEAST_LIFE_S = 30 * DAY_S  # entries may have been stored under a policy of longer lives
SHOWN = 10  # entries
BATCH = 256  # records looked at before other work gets its turn


@dataclass(frozen=True, slots=True)
class Example:
    """One of the entries that are meant."""

    entry: str  # hexadecimal
    category: str
    prompt: str


@dataclass(slots=True)
class Tally:
    """Which entries are meant. ``undecided``: they are looked at when somebody asks for them."""

    by_category: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    undecided: int = 0
    everything: bool = False  # there was no room to note it, and so all entries are gone
    _seen: set[EntryKey] = field(default_factory=set)

    @property
    def total(self) -> int:
        """Count the entries that are meant."""
        return self.by_category.total()

    def add(self, facts: Facts) -> bool:
        """Count an entry, once."""
        key = EntryKey(facts.key)
        if key in self._seen:
            return False
        self._seen.add(key)
        self.by_category[facts.category] += 1
        if len(self.examples) < SHOWN:
            self.examples.append(Example(key.hex(), facts.category, facts.prompt))
        return True


async def invalidate(engine: Engine, selector: Selector, vector: Vector | None) -> Tally:
    """Invalidate what ``selector`` names, whose ``like`` has ``vector``; return what that was.

    When this begins to wait, nothing of it is served here. When it returns, the store has deleted
    it and knows of the invalidation, and who shares the store has been told. Raises
    ``StoreError``: then it holds here, and the upkeep goes on trying. Raises ``ValueError`` for a
    pattern that RE2 does not take.
    """
    invalidated = engine.invalidated
    one = new(selector, vector, engine.clock() + _life_s(engine))
    if not invalidated.has_room(selector):
        return replace(await invalidate_all(engine), everything=True)
    tally = Tally()
    for facts in invalidated.add(one):
        tally.add(facts)
    done = False
    try:
        await invalidated.send(engine.store)
        await _tell(engine, LEDGER)
        await _sweep(engine, tally, selector)
        done = True
    finally:
        invalidated.due |= not done
    return tally


async def invalidate_all(engine: Engine) -> Tally:
    """Begin a new epoch, for all who share the store; then empty it. Raises ``StoreError``."""
    began_s = engine.clock()
    await engine.invalidated.begin(engine.store)
    await follow_epoch(engine)
    await _tell(engine, LEDGER)
    await engine.memory.writer.drain()
    tally, gone = Tally(), []
    async for key, record in _records(engine):
        if record is None:
            gone.append(key)
        elif record.created_s <= began_s:  # what is newer may be of the new epoch
            tally.add(of_record(key, record, engine.embedder))
            gone.append(key)
    for start in range(0, len(gone), BATCH):
        await engine.store.delete(gone[start : start + BATCH])
    return tally


async def preview(engine: Engine, selector: Selector, vector: Vector | None) -> Tally:
    """Return what ``invalidate`` would take. Raises ``StoreError`` and ``ValueError``."""
    wanted = condition(selector, vector)
    tally = Tally()
    for key, payload in engine.memory.hot.items():
        facts = of_payload(key, payload)
        if wanted.holds(facts):
            tally.add(facts)
    async for key, record in _records(engine, selector):
        if record is not None:
            facts = of_record(key, record, engine.embedder)
            holds = wanted.holds(facts)
            tally.undecided += holds is None
            if holds:
                tally.add(facts)
    return tally


async def sweep(engine: Engine) -> int:
    """Remove what is covered, and still or again there. Raises ``StoreError``."""
    tally, done = Tally(), False
    engine.invalidated.due = False  # what becomes due from here on is for another one
    try:
        await _sweep(engine, tally)
        done = True
    finally:
        engine.invalidated.due |= not done
    return tally.total


async def _sweep(engine: Engine, tally: Tally, selector: Selector | None = None) -> None:
    await engine.memory.writer.drain()  # what is being written shows in the list below
    gone = []
    async for key, record in _records(engine, selector):
        if record is None:
            continue
        facts = of_record(key, record, engine.embedder)
        covered = engine.invalidated.in_force.covers(facts, record.after)
        tally.undecided += covered is None
        if covered:
            tally.add(facts)
            gone.append(key)
    await _remove(engine, gone)


async def _remove(engine: Engine, keys: list[EntryKey]) -> None:
    for start in range(0, len(keys), BATCH):
        engine.memory.remove(keys[start : start + BATCH], "invalidated")
        await engine.memory.writer.drain()
        # Again, since a queued deletion may have failed.
        await engine.store.delete(keys[start : start + BATCH])


async def _records(
    engine: Engine, selector: Selector | None = None
) -> AsyncIterator[tuple[EntryKey, IndexRecord | None]]:
    """Yield what the store has, or only the entries that ``selector`` names by id."""
    numbers = count(1)
    if selector is not None and selector.entries:
        keys = [EntryKey(bytes.fromhex(name)) for name in selector.entries]
        for start in range(0, len(keys), BATCH):
            found = await engine.store.records_of(keys[start : start + BATCH])
            for key, data in found.items():
                yield key, _decoded(data)
        return
    async for key, data in engine.store.records():
        yield key, _decoded(data)
        if next(numbers) % BATCH == 0:
            await asyncio.sleep(0)


async def _tell(engine: Engine, what: str) -> None:
    await engine.store.changes.tell([News("notice", what.encode())])


def _life_s(engine: Engine) -> float:
    policy = engine.policy
    longest_s = max(longest_life_s(policy[name]) for name in policy.names)
    return max(longest_s, LEAST_LIFE_S) + LATE_S


def _decoded(data: bytes) -> IndexRecord | None:
    try:
        return decode_record(data)
    except CorruptRecord:
        return None
