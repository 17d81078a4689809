"""A fresh index made beside the one that serves, off the event loop.

The owner starts it, goes on serving and notes what changes; a worker thread fills the new index
and catches up with the notes; the owner plays the last few and swaps. No step stops the owner for
long, however many vectors there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .coding import GraphIndex, Labels, Rows
from .flat import FlatIndex

PLAYED_AT_ONCE = 32  # notes that ``finish`` plays on the owner, 0.1-0.3 ms each
ROUNDS = 8  # of catching up in one run; each is shorter than the last unless writes outrun it
BATCH = 256  # notes a round hands to the index at once, without the interpreter's lock


class Build:
    """One index under construction. ``run`` belongs to a worker thread, the rest to the owner."""

    __slots__ = ("_allowed", "_cancelled", "_notes", "_played", "_ready", "_source", "_target")

    def __init__(
        self, target: FlatIndex | GraphIndex, source: Iterator[tuple[Labels, Rows]]
    ) -> None:
        self._target = target
        self._source = source
        # Append-only, which the worker may read while the owner appends.
        self._notes: list[tuple[int, Rows | None]] = []
        self._played = 0
        self._allowed = PLAYED_AT_ONCE
        self._ready = False
        self._cancelled = False

    @property
    def ready(self) -> bool:
        """Say whether the last ``run`` came to its end."""
        return self._ready

    @property
    def placed(self) -> int:
        """Count what is in the new index so far."""
        return len(self._target)

    def note(self, label: int, row: Rows | None) -> None:
        """Note that ``label`` has a new row (1,), or with None was removed, since the start."""
        self._notes.append((label, None if row is None else row.copy()))

    def cancel(self) -> None:
        """Make ``run`` return within some 10 ms."""
        self._cancelled = True

    def run(self) -> None:
        """Fill the new index, then catch up with the notes. In a worker thread; may be repeated.

        Takes 0.1-0.3 ms a vector for a graph.
        """
        self._ready = False
        if self._cancelled:
            return
        for labels, rows in self._source:
            if self._cancelled:
                return
            self._target.take(labels, rows)
        for _ in range(ROUNDS):
            noted = len(self._notes)
            while self._played < noted:
                if self._cancelled:
                    return
                self._play(min(noted, self._played + BATCH))
        self._ready = True

    def finish(self) -> FlatIndex | GraphIndex | None:
        """Play what was noted since ``run`` caught up, and return the new index.

        None when that would hold up the owner: ``run`` again first. Each refusal doubles what is
        accepted, so that an owner who writes faster than the worker gets there too.
        """
        if not self._ready:
            return None
        if len(self._notes) - self._played > self._allowed:
            self._allowed *= 2
            return None
        self._play(len(self._notes))
        return self._target

    def _play(self, end: int) -> None:
        last = dict(self._notes[self._played : end])
        self._played = end
        kept: dict[int, Rows] = {}
        for label, row in last.items():
            if row is None:
                self._target.remove(label)
            else:
                kept[label] = row
        if kept:
            labels = np.fromiter(kept, dtype=np.int64, count=len(kept))
            self._target.take(labels, np.concatenate(list(kept.values())))
