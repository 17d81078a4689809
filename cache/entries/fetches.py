"""Answers on their way from the store: what changes meanwhile makes them answers of the past."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..ports import EntryKey


@dataclass(slots=True)
class Fetch:
    """One answer that is being read."""

    overtaken: bool = False  # something else was stored under the key, or nothing is
    removed: bool = False


class Fetches:
    """The reads under way, by key: few at a time."""

    def __init__(self) -> None:
        self._under_way: dict[EntryKey, list[Fetch]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    @contextmanager
    def of(self, key: EntryKey) -> Iterator[Fetch]:
        """Note that the answer under ``key`` is being read."""
        fetch = Fetch()
        self._under_way.setdefault(key, []).append(fetch)
        try:
            yield fetch
        finally:
            left = [other for other in self._under_way[key] if other is not fetch]
            if left:
                self._under_way[key] = left
            else:
                del self._under_way[key]

    def overtake(self, key: EntryKey, *, removed: bool = False) -> None:
        """Note that what is being read under ``key`` is not what the store has now."""
        for fetch in self._under_way.get(key, ()):
            fetch.overtaken = True
            fetch.removed |= removed

    def overtake_all(self, *, removed: bool = False) -> None:
        """Note that nobody knows what the store has now, or that it has nothing."""
        for key in self._under_way:
            self.overtake(key, removed=removed)
