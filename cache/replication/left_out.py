"""Records that were left out as invalidated: another invalidation may speak for them.

Who invalidates the same once more takes the first one back, and who asks after that bears the
second alone. A process that still goes by the first leaves such an answer out until it knows.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ..ports import EntryKey

MOST = 100_000  # keys, some 15 MB; past it entries are missed until the next start, none is wrong

Known = frozenset[bytes]  # ids of invalidations


class LeftOut:
    """The keys, until what is invalidated changes."""

    def __init__(self) -> None:
        self._known: Known = frozenset()  # when the first of them was left out
        self._keys: set[EntryKey] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: EntryKey, known: Known) -> None:
        """Note ``key``, left out by one of ``known``."""
        if not self._keys:
            self._known = known
        if len(self._keys) < MOST:
            self._keys.add(key)

    def gone(self, key: EntryKey) -> None:
        """Forget ``key``: the store does not have it any more."""
        self._keys.discard(key)

    def due(self, known: Known) -> AbstractSet[EntryKey]:
        """Give out what is to be looked at again, now that ``known`` are in force."""
        if not self._keys or known == self._known:
            return frozenset()
        keys, self._keys = self._keys, set()
        return keys
