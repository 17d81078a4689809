"""The invalidations of one moment: which of them name an entry, and which cover it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from ...policies.selecting import PART_BYTES, Facts
from ..entries.entry import IndexRecord
from ..ports import Embedder, EntryKey
from .entry_facts import of_record
from .invalidation import Invalidation, parsed

Known = frozenset[bytes]  # ids


@dataclass(frozen=True, slots=True)
class InForce:
    """The invalidations of one moment."""

    of_one: dict[bytes, tuple[Invalidation, ...]]  # by key, or by whose it is
    others: tuple[Invalidation, ...]
    known: Known
    compares: bool = False  # one says of likeness

    def __bool__(self) -> bool:
        return bool(self.known)

    @property
    def names_entries(self) -> bool:
        """Say whether each names one entry, and nothing else."""
        singles = chain.from_iterable(self.of_one.values())
        return not self.others and all(one.selector.entries for one in singles)

    def facts_of(self, key: EntryKey, record: IndexRecord, embedder: Embedder) -> Facts:
        """Return what these may want to know of an entry of the store: vectors cost most."""
        return of_record(key, record, embedder if self.compares else None)

    def covers(self, facts: Facts, after: Collection[bytes]) -> bool | None:
        """Say whether one covers the entry; None = only vectors can tell."""
        doubt = False
        for one in self._about(facts):
            verdict = one.covers(facts, after)
            if verdict:
                return True
            doubt |= verdict is None
        return None if doubt else False

    def erases(self, facts: Facts, after: Collection[bytes]) -> bool:
        """Say whether one covers the entry of which no byte is to be left."""
        return any(one.erases and one.covers(facts, after) for one in self._about(facts))

    def naming(self, facts: Facts) -> Iterator[bytes]:
        """Yield the ids of those that name the entry, or may."""
        return (one.id for one in self._about(facts) if one.condition.holds(facts) is not False)

    def _about(self, facts: Facts) -> Iterable[Invalidation]:
        if facts.whose is None:
            return (*chain.from_iterable(self.of_one.values()), *self.others)
        of_key, of_subject = self.of_one.get(facts.key), self.of_one.get(facts.whose[:PART_BYTES])
        if of_key is None and of_subject is None:
            return self.others
        return (*(of_key or ()), *(of_subject or ()), *self.others)


EMPTY = InForce({}, (), frozenset())


def in_force_of(names: Iterable[str], now_s: float) -> InForce:
    """Return what the counters ``names`` of the ledger say, to whom no embedder is at hand."""
    told = (parsed(name) for name in names)
    return arranged(one.ready(None) for one in told if one is not None and one.expires_s > now_s)


def arranged(kept: Iterable[Invalidation]) -> InForce:
    """Put ``kept`` where it is found."""
    single: dict[bytes, list[Invalidation]] = {}
    others: list[Invalidation] = []
    known, compares = [], False
    for one in kept:
        known.append(one.id)
        compares |= bool(one.selector.like)
        sole = one.sole
        (others if sole is None else single.setdefault(sole, [])).append(one)
    of_one = {digest: tuple(some) for digest, some in single.items()}
    return InForce(of_one, tuple(others), frozenset(known), compares)
