"""What was invalidated or erased, so that nothing brings it back: no late write, no other process.

No clock and no counting decides what came before: an entry bears the ids of the invalidations that
name it and that were known *when its question was asked*. One that it does not bear covers it. Who
did not know asked too early, however late the answer is stored, and by whichever process.

Nothing is asked of a hit: what an invalidation covers leaves the hot payloads in the step that
makes it known, and whatever comes to be hot later was asked then (``covers``).

An erasure is an invalidation of what one subject asked, and says that no byte is to be left.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from ...policies.selecting import Facts
from ..asking.fingerprint import Ask
from ..entries.entry import IndexRecord, Payload
from ..errors import EmbedderError
from ..ports import Clock, Embedder, EntryKey, News, Store, Vector
from .entry_facts import of_payload
from .in_force import EMPTY, InForce, Known, arranged
from .invalidation import GENERATION, LEDGER, Invalidation, Told, parsed
from .tally import Tally

LIMIT = 200  # of those that are looked at one by one; further ones begin a new generation
LIMIT_OF_ONE = 10_000  # of those for one entry or one caller: found by its digest


class Invalidated:
    """The invalidations that are known here, and through the store those of other processes."""

    def __init__(
        self,
        clock: Clock,
        embedder: Embedder,
        drop: Callable[[InForce], list[Facts]] = lambda _: [],
    ) -> None:
        """``drop`` takes out of reach what is held here and is covered; returns what that was."""
        self._clock = clock
        self._reading = asyncio.Lock()
        self._embedder = embedder
        self._drop = drop
        self._kept: dict[bytes, Invalidation] = {}
        self._unsent: dict[bytes, list[str]] = {}  # with the names that it makes superfluous
        self._under: dict[bytes, str] = {}  # the generation in which the store was known to have it
        self._names: dict[str, Told | None] = {}  # of the ledger when it was last read
        self._due_s = 0.0  # when to look at the same names again
        self._over: set[str] = set()  # generations that have ended
        self._present: AbstractSet[str] = set()  # those that the store had when it was last read
        self.generation = ""  # "" = not known yet
        self.in_force = EMPTY
        self.due = False  # the store still has something that is covered
        self.all_due = False  # the store has yet to begin another generation
        self.erasing_due = False  # something may still be left of what was erased, here too
        self.scrub_due = False  # what was deleted from the store may still be readable
        self.copies: list[Callable[[], Awaitable[None]]] = []  # each deletes what else was kept
        self.tallies: list[Tally] = []  # are told what goes

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def known(self) -> Known:
        """Return what a question that is asked now comes after."""
        return self.in_force.known

    @property
    def erasures(self) -> Known:
        """Return the ids of those that erase."""
        return frozenset(one.id for one in self._kept.values() if one.erases)

    def has_room(self, one: Invalidation) -> bool:
        """Say whether ``one`` more can be noted."""
        single = sum(map(len, self.in_force.of_one.values()))
        if one.sole is not None:
            return single < LIMIT_OF_ONE
        return len(self._kept) - single < LIMIT

    def add(self, one: Invalidation) -> list[Facts]:
        """Put ``one`` in force here; return what was in reach. ``send`` tells the store.

        An erasure is then due, until ``sweep`` has carried it out.
        """
        self.erasing_due |= one.erases
        self.scrub_due |= one.erases  # of what had expired or was evicted before, too
        outdone = [other for other in self._kept.values() if one.outdoes(other)]
        for other in outdone:
            del self._kept[other.id]
            self._unsent.pop(other.id, None)
        self._kept[one.id] = one
        self._unsent[one.id] = [other.name for other in outdone]
        return self._arrange()

    def tell(self, gone: Sequence[Facts]) -> None:
        """Count what goes, for those who asked for it."""
        for tally in self.tallies:
            tally.add(gone)

    async def send(self, store: Store) -> None:
        """Tell ``store`` what is new. Raises ``StoreError``; the next call tells it then."""
        told = [self._kept[known] for known in self._unsent if known in self._kept]
        if told:
            await store.count(LEDGER, {one.name: 1 for one in told})
            await store.changes.tell([News("notice", LEDGER.encode())])
        for one in told:
            outdone = self._unsent.get(one.id, [])
            if outdone:
                await store.uncount(LEDGER, outdone)
            self._unsent.pop(one.id, None)
            self._under[one.id] = self.generation

    async def read(self, store: Store) -> None:
        """Take in what ``store`` knows. Raises ``StoreError``.

        What it has lost while the generation lasted it is told again.
        """
        async with self._reading:  # else what was read first could be taken in last
            await self._read(store)

    async def _read(self, store: Store) -> None:
        names = await store.counts(LEDGER)
        now_s = self._clock()
        if names.keys() == self._names.keys() and now_s < self._due_s:
            await self.send(store)
            return
        self._due_s = 0.0  # until this is done
        self._names = {
            name: self._names[name] if name in self._names else parsed(name) for name in names
        }
        found = [one for one in self._names.values() if one is not None]
        told = {one.id: one for one in found if one.expires_s > now_s}
        fresh = [await self._ready(one) for one in told.values() if self._lacks(one)]
        self._kept.update((one.id, one) for one in fresh)
        if self.generation:  # else this process begins, and holds nothing yet
            self.erasing_due |= any(one.erases for one in fresh)
        self._follow({name for name in names if name.startswith(GENERATION)}, told)
        self._kept = {known: one for known, one in self._kept.items() if one.expires_s > now_s}
        self._arrange()
        for known in self._kept.keys() & self._under.keys() - told.keys():
            self._unsent.setdefault(known, [])  # the store has lost it
        await self.send(store)
        expired = [name for name, one in self._names.items() if one and one.expires_s <= now_s]
        if expired:
            await store.uncount(LEDGER, expired)
        lacking = not self.generation or any(self._lacks(one) for one in told.values())
        self._due_s = 0.0 if lacking else min((one.expires_s for one in found), default=math.inf)

    async def begin(self, store: Store, *, make_room: bool = False) -> None:
        """Begin a new generation: what was asked before is out of reach.

        It holds for all who share ``store``, from when they hear of it. Erasures stay, unless they
        are to ``make_room``. Raises ``StoreError``.
        """
        known = await store.counts(LEDGER)
        over = [name for name in known if make_room or not _erases(name)]
        await store.count(LEDGER, {GENERATION + secrets.token_hex(16): 1})
        if over:
            await store.uncount(LEDGER, over)
        await store.changes.tell([News("notice", LEDGER.encode())])

    async def covers(self, facts: Facts, after: Collection[bytes]) -> bool | None:
        """Say whether an entry is covered by what is in force when this returns.

        None: it cannot be told now, and the entry must neither be served nor removed.
        """
        while self.in_force:
            verdict = self.in_force.covers(facts, after)
            if verdict is not None or facts.vector is not None:
                return verdict
            try:
                vector = await self._embedder.embed(facts.prompt)
            except EmbedderError:
                return None
            facts = replace(facts, vector=vector, comparable=vector is not None)
        return False

    def covers_record(self, key: EntryKey, record: IndexRecord) -> bool:
        """Say whether an entry of the store is gone; in doubt it is looked at when fetched."""
        if not self.in_force:
            return False
        facts = self.in_force.facts_of(key, record, self._embedder)
        return self.in_force.covers(facts, record.after) is True

    def may_cover(self, key: EntryKey, payload: Payload, ask: Ask) -> bool:
        """Say whether an answer that ``ask`` found is gone by now, or may be."""
        if not self.in_force:
            return False
        return self.in_force.covers(of_payload(key, payload, ask), payload.after) is not False

    def comes_after(self, facts: Facts, known: Known) -> tuple[bytes, ...] | None:
        """Return what an entry must bear whose question was asked knowing of ``known``.

        None: it is covered, and must not be stored.
        """
        if not self.in_force:
            return ()
        naming = tuple(self.in_force.naming(facts))
        return naming if known.issuperset(naming) else None

    def _follow(self, generations: AbstractSet[str], told: Collection[bytes]) -> None:
        """Take over the generation in force, and forget what the store has dropped with another.

        The least of those noted is in force, the same for all who read them. One that returns
        comes from a past of the store: then none is, until somebody begins another.
        """
        self._over |= self._present - generations
        self._present = generations
        returned = generations & self._over
        self.generation = "" if returned else min(generations, default="")
        for known, under in list(self._under.items()):
            one = self._kept.get(known)
            gone = known not in told and (under not in generations or self._is_outdone(one))
            if one is None or gone:
                self._kept.pop(known, None)
                del self._under[known]
        if len(generations) == 1:  # else one of them is about to end, with what was told under it
            self._under.update(dict.fromkeys(told, self.generation))

    def _lacks(self, one: Told) -> bool:
        known = self._kept.get(one.id)
        return known is None or bool(known.selector.like and known.condition.vector is None)

    def _is_outdone(self, one: Invalidation | None) -> bool:
        return one is not None and any(
            other.outdoes(one) for other in self._kept.values() if other is not one
        )

    async def _ready(self, told: Told) -> Invalidation:
        vector: Vector | None = None
        if told.selector.like:
            try:
                vector = await self._embedder.embed(told.selector.like)
            except EmbedderError:
                vector = None  # until the next reading, any entry may be like it
        return told.ready(vector)

    def _arrange(self) -> list[Facts]:
        """Put what is kept in force, all of it in one step with dropping what that covers."""
        before = self.in_force.known
        self.in_force = arranged(self._kept.values())
        fresh = [one for known, one in self._kept.items() if known not in before]
        return self._drop(arranged(fresh)) if fresh else []


def _erases(name: str) -> bool:
    told = parsed(name)
    return told is not None and told.erases
