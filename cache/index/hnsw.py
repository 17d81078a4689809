"""A graph of vectors (HNSW), for partitions too large to scan.

What hnswlib needs and what is done about it:

- Searching and adding are not safe side by side, resizing with neither: one owner does all three.
- Deleting marks a tombstone, which costs memory and time until ``build`` makes a fresh graph;
  reusing deleted slots instead costs ten times a plain insert. Replacing is delete and insert.
- Asking for more neighbours than can be reached raises: ``k`` is kept within the live count, and
  a graph that still fails is asked for fewer, or scanned.
- Inserting where nothing live can be reached is undefined: tombstones are bounded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from ..ports import Matrix, Vector
from .exact import Labels, checked, checked_label, checked_many, clip, nearest

DEAD = -1
SMALLEST = 64  # slots
SLICE = 32  # rows read at once for a snapshot; holds the interpreter for about 0.3 ms
SCAN_ROWS = 256  # at most so many live rows are scanned when the graph cannot fill k: 2-3 ms


@dataclass(frozen=True, slots=True)
class GraphShape:
    """Parameters of the graph; recall and timings in ``bench/index.py``.

    The defaults keep recall@1 at 0.96-0.99 for queries that have a near neighbour among 100,000.
    """

    m: int = 16  # links a node
    ef_construction: int = 100
    ef: int = 32  # candidates a search keeps
    seed: int = 100


DEFAULT_SHAPE = GraphShape()


class HnswIndex:
    """Approximate search in an hnswlib graph. Implements ``Index``; one owner.

    Memory is slots (live and tombstones) x (4 dim + 136 bytes) and about 150 bytes of book-keeping.
    Adding takes 0.1-0.3 ms. Should nobody ever compact, ``remove`` does so itself, at a stall,
    once tombstones outnumber the living by ``WORST``.
    """

    __slots__ = ("_dim", "_graph", "_labels", "_lock", "_shape", "_slot_of", "_used")

    WORST = 4

    def __init__(self, dim: int, *, room: int = 0, shape: GraphShape = DEFAULT_SHAPE) -> None:
        """Make room for ``room`` vectors; it grows by itself."""
        self._dim = dim
        self._shape = shape
        # Held by the owner while it changes the graph, and by a snapshot's thread for each slice
        # it reads, so that the two never meet inside hnswlib. The owner's searches need no lock.
        self._lock = Lock()
        room = max(room, SMALLEST)
        self._graph = _new_graph(dim, room, shape)
        self._labels: Labels = np.full(room, DEAD, dtype=np.int64)  # by slot
        self._slot_of: dict[int, int] = {}
        self._used = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def __repr__(self) -> str:
        return f"HnswIndex({len(self)} x {self._dim}, {self.tombstones} tombstones)"

    @property
    def tombstones(self) -> int:
        """Count the slots that hold removed or replaced vectors."""
        return self._used - len(self._slot_of)

    @property
    def room(self) -> int:
        """Count the slots there is memory for."""
        return len(self._labels)

    def add(self, label: int, vector: Vector) -> None:
        """Add ``vector`` under ``label``, replacing what is there. Raises ``ValueError``."""
        self._insert(
            np.array([checked_label(label)], dtype=np.int64), checked(vector, self._dim)[None]
        )

    def add_many(self, labels: Sequence[int] | Labels, vectors: Matrix) -> None:
        """Add row i of ``vectors`` (n, dim) under label i; a later row replaces an earlier one.

        One thread, without the interpreter's lock. Raises ``ValueError``; then none is added.
        """
        numbers, rows = checked_many(labels, vectors, self._dim)
        if len(numbers):
            self._insert(numbers, rows)

    def remove(self, label: int) -> None:
        """Remove ``label``; a label that is absent is not an error."""
        slot = self._slot_of.pop(label, None)
        if slot is None:
            return
        self._bury(slot)
        if self.tombstones > self.WORST * len(self._slot_of) + SMALLEST:
            self._compact_now()

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` live ``(label, cosine similarity)`` pairs, best first.

        Approximate. Tombstones are passed through but never returned nor counted, so they hide no
        live neighbour.
        """
        vector = checked(vector, self._dim)
        k = min(k, len(self._slot_of))
        while k > 0:
            try:
                slots, distances = self._graph.knn_query(vector, k=k, num_threads=1)
            except RuntimeError:  # hnswlib cannot reach k live nodes
                if len(self._slot_of) <= SCAN_ROWS:
                    return self._scan(vector, k)
                k //= 2
                continue
            return [
                (label, clip(1.0 - distance))
                for label, distance in zip(
                    self._labels[slots[0].astype(np.int64)].tolist(),
                    distances[0].tolist(),
                    strict=True,
                )
            ]
        return []

    def snapshot(self) -> Iterator[tuple[Labels, Matrix]]:
        """Return what lives now, in slices that another thread may read while the owner goes on.

        Nothing is copied here but the slot numbers. Labels removed meanwhile may be left out.
        Reading costs about 15 us a row of 384 and stops the owner for no longer than one slice.
        """
        slots = self._live()
        labels = self._labels[slots]
        graph = self._graph
        return (
            self._read(graph, labels[start : start + SLICE], slots[start : start + SLICE])
            for start in range(0, len(slots), SLICE)
        )

    def _insert(self, labels: Labels, rows: Matrix) -> None:
        first = self._used
        self._reserve(first + len(labels))
        slots = np.arange(first, first + len(labels))
        with self._lock:
            self._graph.add_items(rows, slots, num_threads=1)
        self._used += len(labels)
        self._labels[slots] = labels
        for label, slot in zip(labels.tolist(), slots.tolist(), strict=True):
            replaced = self._slot_of.get(label)
            self._slot_of[label] = slot
            if replaced is not None:
                self._bury(replaced)

    def _bury(self, slot: int) -> None:
        self._labels[slot] = DEAD
        with self._lock:
            self._graph.mark_deleted(slot)

    def _reserve(self, slots: int) -> None:
        room = self.room
        if slots <= room:
            return
        larger = max(slots, room * 3 // 2, SMALLEST)
        with self._lock:
            try:
                self._graph.resize_index(larger)
            except RuntimeError as exc:
                raise MemoryError("the graph cannot grow") from exc
        self._labels = np.concatenate(
            (self._labels, np.full(larger - room, DEAD, dtype=np.int64)),
        )

    def _live(self) -> Labels:
        return np.flatnonzero(self._labels[: self._used] != DEAD)

    def _read(self, graph: Any, labels: Labels, slots: Labels) -> tuple[Labels, Matrix]:
        """Read live slots of ``graph``, leaving out those removed meanwhile."""
        with self._lock:
            try:
                return labels, _vectors(graph, slots, self._dim)
            except RuntimeError:  # one of them was removed; hnswlib then gives none
                kept = [at for at in range(len(slots)) if _alive(graph, int(slots[at]))]
                return labels[kept], _vectors(graph, slots[kept], self._dim)

    def _scan(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        slots = self._live()
        return nearest(_vectors(self._graph, slots, self._dim), self._labels[slots], vector, k)

    def _compact_now(self) -> None:
        content = list(self.snapshot())
        room = max(len(self._slot_of), SMALLEST)
        self._graph = _new_graph(self._dim, room, self._shape)
        self._labels = np.full(room, DEAD, dtype=np.int64)
        self._slot_of = {}
        self._used = 0
        for labels, rows in content:
            self._insert(labels, rows)


def _new_graph(dim: int, room: int, shape: GraphShape) -> Any:
    import hnswlib  # noqa: PLC0415 - not needed until a partition is large

    graph = hnswlib.Index("ip", dim)
    graph.init_index(room, M=shape.m, ef_construction=shape.ef_construction, random_seed=shape.seed)
    graph.set_ef(shape.ef)
    return graph


def _vectors(graph: Any, slots: Labels, dim: int) -> Matrix:
    # As a list: hnswlib's own conversion to an array takes four times as long.
    return np.array(graph.get_items(slots, return_type="list"), dtype=np.float32).reshape(-1, dim)


def _alive(graph: Any, slot: int) -> bool:
    try:
        graph.get_items([slot], return_type="list")
    except RuntimeError:
        return False
    return True
