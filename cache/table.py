"""The entries that this process knows, with the indexes that find them.

The table and the indexes change together and synchronously; what a change evicts is returned, so
that the caller does the I/O afterwards.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from ..policies.guards.signature import Signature
from .history import History
from .index.category import CategoryIndex
from .ports import EntryKey, PartitionKey, Vector

_SIMILARITY = itemgetter(1)


@dataclass(slots=True, eq=False)
class Entry:
    """One stored answer as the table knows it. Only ``hits`` ever changes."""

    key: EntryKey
    partition: PartitionKey
    category: str
    prompt: str
    signature: Signature
    created_s: float
    expires_s: float  # by the policy at admission; the judge asks today's
    size_bytes: int
    ttl_s: float | None = None
    history: History | None = None  # it is found there too, by other conversations
    indexed: bool = False
    label: int = -1
    hits: int = field(default=0)


class Table:
    """Entries by key, least recently used first to go. ``new_index`` makes one per category."""

    def __init__(self, capacity: int, new_index: Callable[[], CategoryIndex]) -> None:
        self._capacity = capacity
        self._new_index = new_index
        self._entries: OrderedDict[EntryKey, Entry] = OrderedDict()
        self._labels: dict[int, Entry] = {}
        self._indexes: dict[str, CategoryIndex] = {}
        self._expiry: list[tuple[float, int]] = []
        self._next_label = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    @property
    def is_full(self) -> bool:
        """Say whether one more entry would evict another."""
        return len(self._entries) >= self._capacity

    def get(self, key: EntryKey) -> Entry | None:
        """Return the entry under ``key``; does not count as a use."""
        return self._entries.get(key)

    def touch(self, key: EntryKey) -> None:
        """Count a hit on ``key``: it is now the last to go. Its age is not renewed."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.hits += 1
            self._entries.move_to_end(key)

    def admit(self, entry: Entry, vector: Vector | None) -> list[Entry]:
        """Take in ``entry``, replacing one of its key; return what had to go for it.

        Without a vector the entry is found by its exact key only.
        """
        self.remove(entry.key)
        entry.label = self._next_label
        self._next_label += 1
        if vector is not None:
            for place in _places(entry):
                self._index(entry.category).add(place, entry.label, vector)
            entry.indexed = True
        self._entries[entry.key] = entry
        self._labels[entry.label] = entry
        self.size_bytes += entry.size_bytes
        heapq.heappush(self._expiry, (entry.expires_s, entry.label))
        return [self._evict() for _ in range(len(self._entries) - self._capacity)]

    def remove(self, key: EntryKey) -> Entry | None:
        """Forget ``key``; return its entry, None when there is none."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._forget(entry)
        return entry

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._labels.clear()
        self._indexes.clear()
        self._expiry.clear()
        self.size_bytes = 0

    def expire(self, now_s: float, limit: int = 1000) -> list[Entry]:
        """Forget at most ``limit`` expired entries and return them."""
        gone: list[Entry] = []
        while self._expiry and self._expiry[0][0] <= now_s and len(gone) < limit:
            _, label = heapq.heappop(self._expiry)
            entry = self._labels.get(label)
            if entry is not None:
                self.remove(entry.key)
                gone.append(entry)
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
        found = self._nearest(categories, partition, vector, k)
        if history is not None:
            own = {label for label, _ in found}
            others = self._nearest(categories, history.partition, vector, k)
            found += [near for near in others if near[0] not in own]
            found.sort(key=_SIMILARITY, reverse=True)
        return [(self._labels[label], similarity) for label, similarity in found]

    def indexes(self) -> Iterable[CategoryIndex]:
        """Return the indexes, for their maintenance."""
        return tuple(self._indexes.values())

    def count_by_category(self) -> dict[str, int]:
        """Count the entries of each category."""
        counts: dict[str, int] = {}
        for entry in self._entries.values():
            counts[entry.category] = counts.get(entry.category, 0) + 1
        return counts

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
            index = self._indexes[category] = self._new_index()
        return index

    def _evict(self) -> Entry:
        _, entry = self._entries.popitem(last=False)
        self._forget(entry)
        return entry

    def _forget(self, entry: Entry) -> None:
        del self._labels[entry.label]
        if entry.indexed:
            for place in _places(entry):
                self._indexes[entry.category].remove(place, entry.label)
        self.size_bytes -= entry.size_bytes
        if len(self._expiry) > 64 and len(self._expiry) > 4 * len(self._labels):
            live = [(known.expires_s, label) for label, known in self._labels.items()]
            heapq.heapify(live)
            self._expiry = live


def _places(entry: Entry) -> tuple[PartitionKey, ...]:
    if entry.history is None:
        return (entry.partition,)
    return (entry.partition, entry.history.partition)
