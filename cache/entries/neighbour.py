"""What a search found: an entry's row and how near it is. The rest is read when it is asked for."""

from __future__ import annotations

from ...policies.facts import Candidate
from ..ports import EntryKey, PartitionKey
from .entry_rows import EntryRows


class Neighbour:
    """An entry near to a question asked in the partition ``asked_in``. Implements ``Proposed``.

    To be read before the table changes, hence before the next await. Most are too far to answer,
    and need not be read at all: an ``Entry`` takes 4 us to make, three times that while the caches
    hold a model.
    """

    __slots__ = ("_asked_in", "_row", "_rows", "similarity")

    def __init__(
        self, rows: EntryRows, row: int, similarity: float, asked_in: PartitionKey
    ) -> None:
        self._rows = rows
        self._row = row
        self._asked_in = asked_in
        self.similarity = similarity

    @property
    def key(self) -> EntryKey:
        """Return its key."""
        return self._rows.key(self._row)

    @property
    def category(self) -> str:
        """Return its category."""
        return self._rows.category(self._row)

    @property
    def created_s(self) -> float:
        """Return when its answer was received, Unix time."""
        return self._rows.created_s(self._row)

    @property
    def prompt(self) -> str:
        """Return its prompt."""
        return self._rows.prompt(self._row)

    def read(self) -> Candidate:
        """Return what policies may know of it."""
        return self._rows.candidate(self._row, self.similarity, self._asked_in)
