"""Rows that never move once they are written, so that others may point to them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coding import Rows

SMALLEST = 1024  # rows of a chunk

Bytes = NDArray[np.uint8]  # (n, bytes of a row): numpy moves rows with fields eight times as slowly


class Arena:
    """Rows by number, in the order in which they came. Written by one owner, read by anybody.

    The first chunk has the ``room`` that is foreseen. In one piece of some megabytes the system
    can use large pages, and a search touches rows all over it.
    """

    __slots__ = ("_chunks", "_row", "_starts", "count", "room")

    def __init__(self, row: np.dtype[Any], room: int) -> None:
        self._row = row
        self._chunks: list[Bytes] = []
        self._starts: list[int] = []
        self.count = 0
        self.room = 0
        self._grow(room)

    def add(self, rows: Rows, at_once: int) -> Iterator[tuple[int, Rows]]:
        """Append ``rows``; yield what was written, ``at_once`` rows at most, with its number."""
        done = 0
        while done < len(rows):
            if self.count == self.room:
                self._grow(self.room // 8)
            start = self.count - self._starts[-1]
            count = min(at_once, len(rows) - done, self.room - self.count)
            place = self._as_rows(self._chunks[-1][start : start + count])
            place[:] = rows[done : done + count]
            self.count += count
            done += count
            yield self.count - count, place

    def bytes_of(self, number: int) -> Bytes:
        """Return the bytes of row ``number`` as a view."""
        at = bisect_right(self._starts, number) - 1
        row: Bytes = self._chunks[at][number - self._starts[at]]
        return row

    def rows(self, numbers: Sequence[int]) -> Rows:
        """Return copies of the rows ``numbers``."""
        if len(self._chunks) == 1:
            return self._as_rows(self._chunks[0][numbers])
        plain = np.empty((len(numbers), self._row.itemsize), dtype=np.uint8)
        for at, number in enumerate(numbers):
            plain[at] = self.bytes_of(number)
        return self._as_rows(plain)

    def _as_rows(self, plain: Bytes) -> Rows:
        rows: Rows = plain.view(self._row.base).reshape(len(plain), *self._row.shape)
        return rows

    def _grow(self, room: int) -> None:
        room = max(room, SMALLEST)
        self._starts.append(self.room)
        self._chunks.append(np.empty((room, self._row.itemsize), dtype=np.uint8))
        self.room += room
