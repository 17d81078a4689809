"""The reference index: contiguous rows, searched exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..ports import Matrix, Vector
from .exact import Labels, checked, checked_label, checked_many, nearest

SMALLEST = 16  # rows
SLICE = 256  # rows a snapshot hands out at once


class FlatIndex:
    """Exact search over contiguous float32 rows. Implements ``Index``; one owner.

    Removing moves the last row into the gap, so the rows stay contiguous. Room grows by a half
    and is halved when three quarters lie idle.
    """

    __slots__ = ("_dim", "_labels", "_row_of", "_rows")

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._rows: Matrix = np.empty((SMALLEST, dim), dtype=np.float32)
        self._labels: Labels = np.empty(SMALLEST, dtype=np.int64)
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def __repr__(self) -> str:
        return f"FlatIndex({len(self)} x {self._dim})"

    def add(self, label: int, vector: Vector) -> None:
        """Add ``vector`` under ``label``, replacing what is there. Raises ``ValueError``."""
        vector = checked(vector, self._dim)
        row = self._row_of.get(checked_label(label))
        if row is None:
            row = len(self._row_of)
            self._reserve(row + 1)
        self._rows[row] = vector
        self._labels[row] = label
        self._row_of[label] = row

    def add_many(self, labels: Sequence[int] | Labels, vectors: Matrix) -> None:
        """Add row i of ``vectors`` (n, dim) under label i; a later row replaces an earlier one.

        Raises ``ValueError``; then none is added.
        """
        numbers, rows = checked_many(labels, vectors, self._dim)
        self._reserve(len(self._row_of) + len(numbers))
        for label, vector in zip(numbers.tolist(), rows, strict=True):
            row = self._row_of.setdefault(label, len(self._row_of))
            self._rows[row] = vector
            self._labels[row] = label

    def remove(self, label: int) -> None:
        """Remove ``label``; a label that is absent is not an error."""
        row = self._row_of.pop(label, None)
        if row is None:
            return
        last = len(self._row_of)
        if row != last:
            self._rows[row] = self._rows[last]
            self._labels[row] = self._labels[last]
            self._row_of[int(self._labels[row])] = row
        if last < len(self._rows) // 4:
            self._resize(len(self._rows) // 2)

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` ``(label, cosine similarity)`` pairs, best first; exact."""
        labels, rows = self.content()
        return nearest(rows, labels, checked(vector, self._dim), k)

    def content(self) -> tuple[Labels, Matrix]:
        """Return labels (n,) and rows (n, dim) as views, valid until the next change."""
        count = len(self._row_of)
        return self._labels[:count], self._rows[:count]

    def snapshot(self) -> Iterator[tuple[Labels, Matrix]]:
        """Copy what is there now; return it in slices that another thread may read.

        The copy runs here and takes 2-4 ms for 4,000 rows of 384.
        """
        labels, rows = self.content()
        labels, rows = labels.copy(), rows.copy()
        return (
            (labels[start : start + SLICE], rows[start : start + SLICE])
            for start in range(0, len(labels), SLICE)
        )

    def _reserve(self, count: int) -> None:
        if count > len(self._rows):
            self._resize(max(count, len(self._rows) * 3 // 2))

    def _resize(self, room: int) -> None:
        room = max(room, SMALLEST)
        if room == len(self._rows):
            return
        labels, rows = self.content()
        kept = len(labels)
        self._rows = np.empty((room, self._dim), dtype=np.float32)
        self._labels = np.empty(room, dtype=np.int64)
        self._rows[:kept] = rows
        self._labels[:kept] = labels
