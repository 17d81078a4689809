"""Rows of many small partitions in common chunks; a partition is one integer.

Most partitions hold one entry, so a partition costs no object of its own: some 90 bytes an entry
beside the row. Its rows lie side by side in a block of 1, 2, 4, ...
``MOST`` rows, which makes a search one product over a contiguous view; gathering scattered rows
takes twice as long (64 rows: 5 us against 2.5 us). A full block moves into one of twice the size.
A chunk holds blocks of one size, is allocated untouched, never moves, and is given back when its
last block is.
"""

from __future__ import annotations

from typing import NewType

import numpy as np

from .coding import Coding, Labels, Rows

MOST = 64  # rows in the largest block
CHUNK = 1024  # rows; 1.5 MiB of 384 float32

Extent = NewType("Extent", int)  # first row and number of rows: row << 8 | count


class _Chunk:
    """``CHUNK`` rows, cut into blocks of one size."""

    __slots__ = ("block", "free", "labels", "rows", "used")

    def __init__(self, coding: Coding, block: int) -> None:
        self.rows: Rows = np.empty(CHUNK, dtype=coding.row)
        self.labels: Labels = np.empty(CHUNK, dtype=np.int64)
        self.block = block
        self.free: list[int] = []  # starts of blocks that were given back
        self.used = 0  # rows ever handed out; those beyond are untouched

    def take(self) -> int | None:
        """Return the start of a free block, None when there is none."""
        if self.free:
            return self.free.pop()
        if self.used == CHUNK:
            return None
        start = self.used
        self.used += self.block
        return start

    @property
    def idle(self) -> bool:
        """Say whether no block is handed out."""
        return len(self.free) * self.block == self.used


class Slab:
    """Rows of small partitions, up to ``MOST`` each. Labels are unique within a partition.

    Every method that changes a partition takes its extent and returns the new one; the old one
    is void. Arguments are taken as checked.
    """

    __slots__ = ("_chunks", "_coding", "_spare", "_with_room")

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._chunks: list[_Chunk | None] = []
        self._spare: list[int] = []  # numbers of chunks that were given back
        self._with_room: dict[int, dict[int, None]] = {}  # block size -> chunk numbers

    @staticmethod
    def size(extent: Extent) -> int:
        """Count the rows of a partition."""
        return extent & 0xFF

    @property
    def rows_allocated(self) -> int:
        """Count the rows there is memory for."""
        return CHUNK * (len(self._chunks) - len(self._spare))

    def store(self, labels: Labels, rows: Rows) -> Extent:
        """Store a new partition of 1 to ``MOST`` rows."""
        count = len(labels)
        number, start, chunk = self._take(1 << (count - 1).bit_length())
        chunk.rows[start : start + count] = rows
        chunk.labels[start : start + count] = labels
        return _extent(number, start, count)

    def store_one(self, label: int, row: Rows) -> Extent:
        """Store a new partition of the one ``row`` (1,)."""
        number, start, chunk = self._take(1)
        chunk.rows[start : start + 1] = row
        chunk.labels[start] = label
        return _extent(number, start, 1)

    def read(self, extent: Extent) -> tuple[Labels, Rows]:
        """Return n labels and rows as views, valid until the next change."""
        _, start, chunk, count = self._find(extent)
        return chunk.labels[start : start + count], chunk.rows[start : start + count]

    def add(self, extent: Extent, label: int, row: Rows) -> Extent:
        """Add the one ``row`` under ``label``, or replace it.

        A new label needs fewer than ``MOST`` rows to be there.
        """
        number, start, chunk, count = self._find(extent)
        at = _position(chunk.labels[start : start + count], label)
        if at is not None:
            chunk.rows[start + at : start + at + 1] = row
            return extent
        if count < chunk.block:
            chunk.rows[start + count : start + count + 1] = row
            chunk.labels[start + count] = label
            return _extent(number, start, count + 1)
        labels, rows = self.read(extent)
        moved = self.store(np.append(labels, label), np.concatenate((rows, row)))
        self.free(extent)
        return moved

    def remove(self, extent: Extent, label: int) -> Extent | None:
        """Remove ``label`` if it is there. Returns None when nothing is left."""
        number, start, chunk, count = self._find(extent)
        at = _position(chunk.labels[start : start + count], label)
        if at is None:
            return extent
        if count == 1:
            self.free(extent)
            return None
        last = start + count - 1
        chunk.rows[start + at] = chunk.rows[last]
        chunk.labels[start + at] = chunk.labels[last]
        smaller = _extent(number, start, count - 1)
        if count - 1 > chunk.block // 4:
            return smaller
        moved = self.store(*self.read(smaller))
        self.free(smaller)
        return moved

    def free(self, extent: Extent) -> None:
        """Give the rows of a partition back."""
        number, start, chunk, _ = self._find(extent)
        chunk.free.append(start)
        with_room = self._with_room[chunk.block]
        if chunk.idle:
            with_room.pop(number, None)
            self._chunks[number] = None
            self._spare.append(number)
        else:
            with_room[number] = None

    def _find(self, extent: Extent) -> tuple[int, int, _Chunk, int]:
        number, start = divmod(extent >> 8, CHUNK)
        chunk = self._chunks[number]
        assert chunk is not None, "an extent outlived its chunk"
        return number, start, chunk, extent & 0xFF

    def _take(self, block: int) -> tuple[int, int, _Chunk]:
        with_room = self._with_room.setdefault(block, {})
        while with_room:
            number = next(iter(with_room))
            chunk = self._chunks[number]
            start = None if chunk is None else chunk.take()
            if chunk is not None and start is not None:
                return number, start, chunk
            del with_room[number]
        fresh = _Chunk(self._coding, block)
        if self._spare:
            number = self._spare.pop()
            self._chunks[number] = fresh
        else:
            number = len(self._chunks)
            self._chunks.append(fresh)
        with_room[number] = None
        return number, fresh.take() or 0, fresh


def _extent(number: int, start: int, count: int) -> Extent:
    return Extent((number * CHUNK + start) << 8 | count)


def _position(labels: Labels, label: int) -> int | None:
    if len(labels) == 1:
        return 0 if int(labels[0]) == label else None
    found = np.flatnonzero(labels == label)
    return int(found[0]) if len(found) else None
