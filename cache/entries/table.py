"""The entries that this process knows, with the indexes that find them.

The table and the indexes change together and synchronously; what a change evicts is returned, so
that the caller does the I/O afterwards. An entry's row is its label in the indexes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from weakref import ReferenceType, ref

import numpy as np

from ...policies.room import Cause
from ..asking.history import History
from ..index.category import CategoryIndex
from ..ports import EntryKey, PartitionKey, Vector
from ..snapshot.sections import Sink, Source, put_array, put_facts, take_array, take_facts
from .entry_rows import Entry, EntryRows
from .expiry import NONE, Expiry
from .neighbour import Neighbour
from .occupancy import NO_STAKE, Holding, Occupancy, Stake
from .slot_table import ABSENT, SlotTable, hashed_bytes

MOST_ADMISSIONS = 0xFFFF_FFFF  # then they are numbered from 1 again
# The numbers of what was loaded begin here: not those of what came in since the start.
FIRST_LOADED = 0x4000_0000
_SIMILARITY = itemgetter(1)


@dataclass(frozen=True, slots=True)
class Evicted:
    """An entry that had to go for another one."""

    entry: Entry
    cause: Cause


@dataclass(frozen=True, slots=True)
class _Search:
    vector: ReferenceType[Vector]  # whose text may have to be forgotten
    asked: tuple[Collection[str], PartitionKey, int, History | None]
    found: list[tuple[int, float]]


class Table:
    """Entries by key. ``new_index`` makes a category's index, ``occupancy`` says who goes."""

    def __init__(self, occupancy: Occupancy, new_index: Callable[[str], CategoryIndex]) -> None:
        self.occupancy = occupancy
        self._new_index = new_index
        self._admissions = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._rows = EntryRows()
        self._row_of = SlotTable()  # by key
        self._expiry = Expiry(self.occupancy.expires_s)
        self._admitted = array("I")  # by row: the number of its admission, 0 = not in use
        self._indexes: dict[str, CategoryIndex] = {}
        self._last: _Search | None = None  # since the last change
        self.occupancy.clear()

    def emptied(self) -> Table:
        """Return one that is made alike, and holds nothing."""
        return Table(self.occupancy.emptied(), self._new_index)

    def become(self, other: Table) -> None:
        """Hold what ``other`` holds, which is not to be used any more, and nothing else."""
        self._rows, self._row_of = other._rows, other._row_of
        self._admitted, self._admissions = other._admitted, other._admissions
        self._indexes = other._indexes
        self._last = None
        self.occupancy.become(other.occupancy)
        self._expiry = other._expiry
        self._expiry.ask(self.occupancy.expires_s)

    def save(self, sink: Sink) -> None:
        """Write what is held, and nothing of what was removed."""
        in_use = np.frombuffer(self._admitted, dtype=np.uint32) != 0
        put_array(sink, "in use", in_use)
        self._rows.save(sink, in_use)
        self.occupancy.save(sink, in_use)
        put_facts(sink, "indexes", list(self._indexes))
        for index in self._indexes.values():
            index.save(sink)

    def load(self, source: Source) -> None:
        """Become what was written, admitted anew. In a thread of its own; raises ``Unusable``."""
        self.clear()
        in_use = take_array(source, "in use", np.bool_)
        self._rows.load(source, in_use)
        self.occupancy.load(source, in_use)
        rows = np.flatnonzero(in_use).tolist()
        self._admitted = array("I", bytes(4 * len(in_use)))
        for number, row in enumerate(rows, start=FIRST_LOADED):
            self._admitted[row] = number
        self._admissions = FIRST_LOADED + len(rows)
        self._row_of.reserve(len(rows))
        key, put = self._rows.key, self._row_of.put
        for row in rows:
            put(hashed_bytes(key(row)), row)
        self._expiry.fill(sorted(rows, key=self.occupancy.expires_s))
        for category in take_facts(source, "indexes", list[str]):
            self._index(category).load(source)

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entry, self._in_use())

    def __contains__(self, key: EntryKey) -> bool:
        return self._find(key) != ABSENT

    @property
    def version(self) -> tuple[int, int]:
        """Return what another admission or removal changes."""
        return self._admissions, len(self)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of the answers held."""
        return self.occupancy.total.size_bytes

    def get(self, key: EntryKey) -> Entry | None:
        """Return the entry under ``key``; does not count as a use."""
        row = self._find(key)
        return None if row == ABSENT else self._entry(row)

    def admission(self, key: EntryKey) -> int:
        """Number the admission of what stands under ``key``: another entry, another number.

        0 = nothing does.
        """
        row = self._find(key)
        return 0 if row == ABSENT else self._admitted[row]

    def created_s(self, key: EntryKey) -> float | None:
        """Return when the answer under ``key`` was received, None when there is none."""
        row = self._find(key)
        return None if row == ABSENT else self._rows.created_s(row)

    def neighbour(
        self, key: EntryKey, similarity: float, asked_in: PartitionKey
    ) -> Neighbour | None:
        """Return the entry under ``key`` as one that is known to be near; None when it is gone."""
        row = self._find(key)
        return None if row == ABSENT else Neighbour(self._rows, row, similarity, asked_in)

    def keys_of(self, category: str | None = None) -> Iterator[EntryKey]:
        """Iterate over the keys of one category, or of all, in no order."""
        rows = self._rows
        return (rows.key(row) for row in self._in_use() if category in {None, rows.category(row)})

    def touch(self, key: EntryKey, *, by_meaning: bool = False) -> None:
        """Count a hit on ``key``. Its age is not renewed."""
        row = self._find(key)
        if row != ABSENT:
            self.occupancy.touch(row, by_meaning=by_meaning)

    def admit(self, entry: Entry, vector: Vector | None, stake: Stake = NO_STAKE) -> list[Evicted]:
        """Take in ``entry``, replacing one of its key; return what had to go for it.

        Without a vector the entry is found by its exact key only. Not to be asked for what is
        ``too_large`` for the ``occupancy``.
        """
        self.remove(entry.key)
        self._last = None
        row = self._rows.put(entry)
        try:
            if vector is not None:
                for place in _places(entry):
                    self._index(entry.category).add(place, row, vector)
        except ValueError:
            self._rows.free(row)
            raise
        if row == len(self._admitted):
            self._admitted.append(0)
        self._admissions = self._admissions % MOST_ADMISSIONS + 1
        self._admitted[row] = self._admissions
        self._rows.indexed[row] = vector is not None
        self._row_of.put(hashed_bytes(entry.key), row)
        holding = Holding(entry.category, entry.size_bytes, entry.expires_s, stake)
        evicted = []
        while (victim := self.occupancy.victim(holding)) is not None:
            old, cause = victim
            evicted.append(Evicted(self._forget(old), cause))
        self.occupancy.add(row, holding)
        self._expiry.add(row)
        return evicted

    def remove(self, key: EntryKey) -> Entry | None:
        """Forget ``key``; return its entry, None when there is none."""
        row = self._find(key)
        return None if row == ABSENT else self._forget(row)

    def expire(self, now_s: float, limit: int = 1000) -> list[Entry]:
        """Forget at most ``limit`` expired entries and return them."""
        gone: list[Entry] = []
        while len(gone) < limit and (row := self._expiry.due(now_s)) != NONE:
            gone.append(self._forget(row))
        return gone

    def neighbours(
        self,
        categories: Collection[str],
        partition: PartitionKey,
        vector: Vector,
        k: int,
        history: History | None = None,
    ) -> list[tuple[Entry, float]]:
        """Return at most ``k`` entries of ``partition`` with their similarity, best first.

        With a ``history``, ``k`` of other conversations at most stand among them.
        """
        found = self._searched(categories, partition, vector, k, history)
        return [(self._entry(row), similarity) for row, similarity in found]

    def near(
        self,
        categories: Collection[str],
        partition: PartitionKey,
        vector: Vector,
        k: int,
        history: History | None = None,
    ) -> list[Neighbour]:
        """Return the same, each to be read before the next change.

        Who asks again for the same ``vector`` before anything changed waits for no search: a miss
        does so when its answer is stored.
        """
        asked = (categories, partition, k, history)
        last = self._last
        if last is None or last.vector() is not vector or last.asked != asked:
            found = self._searched(categories, partition, vector, k, history)
            last = self._last = _Search(ref(vector), asked, found)
        rows = self._rows
        return [Neighbour(rows, row, similarity, partition) for row, similarity in last.found]

    def indexes(self) -> Iterable[CategoryIndex]:
        """Return the indexes, for their maintenance."""
        return tuple(self._indexes.values())

    def count_by_category(self) -> dict[str, int]:
        """Count the entries of each category."""
        return {
            category: used.entries
            for category, (used, _) in self.occupancy.by_category().items()
            if used.entries
        }

    def _entry(self, row: int) -> Entry:
        return self._rows.entry(row, self.occupancy.expires_s(row))

    def _in_use(self) -> Iterator[int]:
        return (row for row, admitted in enumerate(self._admitted) if admitted)

    def _find(self, key: EntryKey) -> int:
        return self._row_of.find(hashed_bytes(key), partial(self._rows.has_key, key))

    def _searched(
        self,
        categories: Collection[str],
        partition: PartitionKey,
        vector: Vector,
        k: int,
        history: History | None,
    ) -> list[tuple[int, float]]:
        found = self._nearest(categories, partition, vector, k)
        if history is not None:
            own = {row for row, _ in found}
            others = self._nearest(categories, history.partition, vector, k)
            found += [near for near in others if near[0] not in own]
            found.sort(key=_SIMILARITY, reverse=True)
        return found

    def _nearest(
        self, categories: Collection[str], partition: PartitionKey, vector: Vector, k: int
    ) -> list[tuple[int, float]]:
        found: list[tuple[int, float]] = []
        for category in categories:
            index = self._indexes.get(category)
            if index is not None:
                found += index.search(partition, vector, k)
        found.sort(key=_SIMILARITY, reverse=True)
        return found[:k]

    def _index(self, category: str) -> CategoryIndex:
        index = self._indexes.get(category)
        if index is None:
            index = self._indexes[category] = self._new_index(category)
        return index

    def _forget(self, row: int) -> Entry:
        self._last = None
        entry = self._entry(row)
        self._row_of.discard(hashed_bytes(entry.key), row)
        self._admitted[row] = 0
        if entry.indexed:
            for place in _places(entry):
                self._indexes[entry.category].remove(place, row)
        self._expiry.discard(row)
        self.occupancy.discard(row)
        self._rows.free(row)
        return entry


def _places(entry: Entry) -> tuple[PartitionKey, ...]:
    if entry.history is None:
        return (entry.partition,)
    return (entry.partition, entry.history.partition)
