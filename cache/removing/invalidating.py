"""Invalidating: out of reach here at once, in the store before it returns, elsewhere soon after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...policies.lifespan import longest_life_s
from ...policies.selecting import Selector, condition
from ..engine import Engine
from ..entries.listing import BATCH, records_in
from ..ports import EntryKey, Vector
from .entry_facts import of_payload, of_record
from .epoch import follow_epoch, leave_epoch
from .invalidation import Invalidation, new
from .subject import Subject
from .sweeping import sweep
from .tally import Tally

DAY_S = 86_400.0
LATE_S = 7 * DAY_S  # how long after it an answer of before may still be written
LEAST_LIFE_S = 30 * DAY_S  # entries may have been stored under a policy of longer lives


async def invalidate(engine: Engine, selector: Selector, vector: Vector | None) -> Tally:
    """Invalidate what ``selector`` names, whose ``like`` has ``vector``; return what that was.

    When this begins to wait, nothing of it is served here. When it returns, the store has deleted
    it and knows of the invalidation, and who shares the store has been told. Raises
    ``StoreError``: then it holds here, and the upkeep goes on trying. Raises ``ValueError`` for a
    pattern that RE2 does not take.
    """
    one = new(selector, vector, _expires_s(engine))
    if not engine.invalidated.has_room(one):
        tally = await invalidate_all(engine)
        tally.everything = True
        return tally
    return await _carry_out(engine, one)


async def erase(engine: Engine, subject: Subject) -> Tally:
    """Erase every entry of ``subject``, with all that was derived from it; return what that was.

    As ``invalidate``, and when it returns, no byte of it is left where the store can help it.
    """
    selector = Selector(whose=(subject.packed().hex(),))
    return await _carry_out(engine, new(selector, None, _expires_s(engine), erases=True))


async def invalidate_all(engine: Engine, *, make_room: bool = False) -> Tally:
    """Begin a new epoch, for all who share the store; then empty it.

    When this begins to wait, nothing is served here. Raises ``StoreError``: then nothing is until
    the upkeep has begun the epoch. ``make_room``: earlier erasures need not be remembered.
    """
    began_s = engine.clock()
    leave_epoch(engine)
    await follow_epoch(engine, make_room=make_room)
    await engine.memory.writer.drain()
    tally, gone = Tally(condition(Selector())), []
    async for key, record in records_in(engine.store):
        if record is None:
            gone.append(key)
        elif record.created_s <= began_s:  # what is newer may be of the new epoch
            tally.add([of_record(key, record, engine.embedder)])
            gone.append(key)
    for start in range(0, len(gone), BATCH):
        await engine.store.delete(gone[start : start + BATCH])
    return tally


async def preview(engine: Engine, selector: Selector, vector: Vector | None) -> Tally:
    """Return what ``invalidate`` would take. Raises ``StoreError`` and ``ValueError``."""
    tally = Tally(condition(selector, vector))
    tally.add(of_payload(key, payload) for key, payload in engine.memory.hot.items())
    async for key, record in records_in(engine.store, _only(selector)):
        if record is not None:
            facts = of_record(key, record, engine.embedder)
            tally.undecided += tally.wanted.holds(facts) is None
            tally.add([facts])
    return tally


async def _carry_out(engine: Engine, one: Invalidation) -> Tally:
    invalidated, done = engine.invalidated, False
    fits = invalidated.has_room(one)
    with _counting(engine, one) as tally:
        tally.add(invalidated.add(one))
        try:
            if not fits:
                await invalidate_all(engine, make_room=True)
            await invalidated.send(engine.store)
            tally.undecided = await sweep(engine, None if one.erases else _only(one.selector))
            done = True
        finally:
            invalidated.due |= not done
    return tally


@contextmanager
def _counting(engine: Engine, one: Invalidation) -> Iterator[Tally]:
    """Count all that goes meanwhile, whoever removes it."""
    tally = Tally(one.condition)
    engine.invalidated.tallies.append(tally)
    try:
        yield tally
    finally:
        engine.invalidated.tallies.remove(tally)


def _only(selector: Selector) -> list[EntryKey] | None:
    """Return the entries among which are all that are meant; None: any may be."""
    return [EntryKey(bytes.fromhex(name)) for name in selector.entries] or None


def _expires_s(engine: Engine) -> float:
    policy = engine.policy
    longest_s = max(longest_life_s(policy[name]) for name in policy.names)
    return engine.clock() + max(longest_s, LEAST_LIFE_S) + LATE_S
