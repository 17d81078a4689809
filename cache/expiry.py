"""When rows expire: a binary heap in two arrays, 12 bytes each.

``heapq`` would need a tuple and a float object for each, 120 bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable


class Expiry:
    """Rows by the time at which they expire. A row may stand here at several times.

    What was removed elsewhere stays until its time or the next ``rebuild``; who pops must look
    whether it still holds.
    """

    __slots__ = ("_rows", "_times")

    def __init__(self) -> None:
        self._times = array("d")
        self._rows = array("i")

    def __len__(self) -> int:
        return len(self._rows)

    def push(self, expires_s: float, row: int) -> None:
        """Add ``row``."""
        times, rows = self._times, self._rows
        times.append(expires_s)
        rows.append(row)
        at = len(rows) - 1
        while at and times[(at - 1) // 2] > expires_s:
            above = (at - 1) // 2
            times[at], rows[at] = times[above], rows[above]
            at = above
        times[at], rows[at] = expires_s, row

    def pop_due(self, now_s: float) -> tuple[float, int] | None:
        """Take out what expired first, with its time; None when nothing has expired."""
        if not self._rows or self._times[0] > now_s:
            return None
        due = self._times[0], self._rows[0]
        expires_s, row = self._times.pop(), self._rows.pop()
        if self._rows:
            self._sink(expires_s, row)
        return due

    def rebuild(self, known: Iterable[tuple[float, int]]) -> None:
        """Hold exactly ``known``."""
        ordered = sorted(known)  # an ordered list is a heap
        self._times = array("d", [expires_s for expires_s, _ in ordered])
        self._rows = array("i", [row for _, row in ordered])

    def _sink(self, expires_s: float, row: int) -> None:
        """Put one in at the top, where there is a gap."""
        times, rows = self._times, self._rows
        at, end = 0, len(rows)
        while (below := 2 * at + 1) < end:
            if below + 1 < end and times[below + 1] < times[below]:
                below += 1
            if times[below] >= expires_s:
                break
            times[at], rows[at] = times[below], rows[below]
            at = below
        times[at], rows[at] = expires_s, row
