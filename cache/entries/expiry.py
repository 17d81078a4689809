"""Which row expires next: a binary heap of rows, 8 bytes each.

``heapq`` would need a tuple and a float for each, 120 bytes, and cannot let one go before its time.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

NONE = -1


class Expiry:
    """Rows by the time at which they expire. Operations take time by the logarithm of their count.

    ``expires_s`` tells the time of a row; it must not change while the row is here.
    """

    __slots__ = ("_expires_s", "_rows", "_seats")

    def __init__(self, expires_s: Callable[[int], float]) -> None:
        self._expires_s = expires_s
        self._rows = array("i")  # the heap
        self._seats = array("i")  # by row: its place in the heap

    def ask(self, expires_s: Callable[[int], float]) -> None:
        """Ask ``expires_s`` from now on, which gives the same times."""
        self._expires_s = expires_s

    def fill(self, rows: Sequence[int]) -> None:
        """Take in ``rows``, in the order in which they expire; none is here yet."""
        self._rows = array("i", rows)
        self._seats = array("i", [NONE]) * (max(rows, default=NONE) + 1)
        for seat, row in enumerate(self._rows):
            self._seats[row] = seat

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: int) -> None:
        """Add ``row``, which is not here."""
        while len(self._seats) <= row:
            self._seats.append(NONE)
        self._rows.append(row)
        self._rise(len(self._rows) - 1, row)

    def discard(self, row: int) -> None:
        """Take out ``row``, which is here."""
        seat, last = self._seats[row], self._rows.pop()
        if last == row:
            return
        self._sink(seat, last)
        self._rise(self._seats[last], last)

    def due(self, now_s: float) -> int:
        """Return the row that expired first, ``NONE`` when none has."""
        if self._rows and self._expires_s(self._rows[0]) <= now_s:
            return self._rows[0]
        return NONE

    def _rise(self, seat: int, row: int) -> None:
        rows, expires_s = self._rows, self._expires_s(row)
        while seat:
            above = rows[(seat - 1) // 2]
            if self._expires_s(above) <= expires_s:
                break
            self._seat(seat, above)
            seat = (seat - 1) // 2
        self._seat(seat, row)

    def _sink(self, seat: int, row: int) -> None:
        rows, expires_s = self._rows, self._expires_s(row)
        while (below := 2 * seat + 1) < len(rows):
            if below + 1 < len(rows):
                below += self._expires_s(rows[below + 1]) < self._expires_s(rows[below])
            if self._expires_s(rows[below]) >= expires_s:
                break
            self._seat(seat, rows[below])
            seat = below
        self._seat(seat, row)

    def _seat(self, seat: int, row: int) -> None:
        self._rows[seat] = row
        self._seats[row] = seat
