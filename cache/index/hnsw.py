"""A graph of vectors (HNSW), for partitions too large to scan.

What hnswlib needs and what is done about it:

- Searching and adding are not safe side by side, resizing with neither: one owner does all three.
- Deleting marks a tombstone, which costs memory and time until ``build`` makes a fresh graph;
  reusing deleted slots instead costs ten times a plain insert. Replacing is delete and insert.
- Asking for more neighbours than can be reached raises: ``k`` is kept within the live count, and
  a graph that still fails is asked for fewer, or scanned.
- Inserting where nothing live can be reached is undefined: tombstones are bounded here.
- Equal vectors link to each other only: 300 copies of one among 1,300 brought recall@1 of all
  others down to 0.46. Labels with equal vectors therefore share a node. (An English model makes
  many equal vectors of texts in scripts it does not know.)

What stays: hundreds of vectors strewn evenly, in hundreds of directions, about one stored vector
link to that one only, and some of them cannot be reached (a miss, never a wrong neighbour).
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

    Memory is slots (live and tombstones) x (4 dim + 140 bytes) and about 300 bytes of book-keeping.
    Adding takes 0.1-0.3 ms. Should nobody ever compact, ``remove`` does so itself, at a stall,
    once tombstones outnumber the living by ``WORST``.
    """

    _STATE = (
        "_by_value",
        "_graph",
        "_labels",
        "_nodes",
        "_slot_of",
        "_twins",
        "_used",
        "_values",
    )
    __slots__ = (*_STATE, "_dim", "_lock", "_shape", "_turn")

    WORST = 4

    def __init__(self, dim: int, *, room: int = 0, shape: GraphShape = DEFAULT_SHAPE) -> None:
        """Make room for ``room`` vectors; it grows by itself."""
        self._dim = dim
        self._shape = shape
        # The lock is held by the owner while it changes the graph, and by a snapshot's thread for
        # each slice it reads, so that the two never meet inside hnswlib; the owner's searches
        # need none. Who reads also holds the turn, else a busy owner would never let it in.
        self._lock = Lock()
        self._turn = Lock()
        room = max(room, SMALLEST)
        self._graph = _new_graph(dim, room, shape)
        self._labels: Labels = np.full(room, DEAD, dtype=np.int64)  # by slot: its first label
        self._values: Labels = np.full(room, DEAD, dtype=np.int64)  # by slot: hash of its vector
        self._by_value: dict[int, int] = {}  # hash -> slot
        self._twins: dict[int, list[int]] = {}  # slot -> further labels with an equal vector
        self._slot_of: dict[int, int] = {}
        self._used = 0  # slots
        self._nodes = 0  # live slots

    def __len__(self) -> int:
        return len(self._slot_of)

    def __repr__(self) -> str:
        return f"HnswIndex({len(self)} x {self._dim}, {self.tombstones} tombstones)"

    @property
    def tombstones(self) -> int:
        """Count the slots that hold removed or replaced vectors."""
        return self._used - self._nodes

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
        self._detach(label, slot)
        if self.tombstones > self.WORST * self._nodes + SMALLEST:
            self._compact_now()

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` live ``(label, cosine similarity)`` pairs, best first.

        Approximate. Tombstones are passed through but never returned nor counted, so they hide no
        live neighbour.
        """
        vector = checked(vector, self._dim)
        nodes = min(k, self._nodes)
        while nodes > 0:
            try:
                slots, distances = self._graph.knn_query(vector, k=nodes, num_threads=1)
            except RuntimeError:  # hnswlib cannot reach so many live nodes
                if len(self._slot_of) <= SCAN_ROWS:
                    return self._scan(vector, k)
                nodes //= 2
                continue
            return self._named(slots[0].tolist(), distances[0].tolist(), k)
        return []

    def snapshot(self) -> Iterator[tuple[Labels, Matrix]]:
        """Return what lives now, in slices that another thread may read while the owner goes on.

        Nothing is copied here but the slot numbers. Labels removed meanwhile may be left out.
        Reading costs about 15 us a row of 384 and stops the owner for no longer than one slice.
        """
        labels, slots = self._live()
        graph = self._graph
        return (
            self._read(graph, labels[start : start + SLICE], slots[start : start + SLICE])
            for start in range(0, len(slots), SLICE)
        )

    def _insert(self, labels: Labels, rows: Matrix) -> None:
        last = {label: at for at, label in enumerate(labels.tolist())}
        values = [hash(rows[at].tobytes()) for at in last.values()]
        fresh: dict[int, int] = {}  # value -> position in ``new``
        new: list[int] = []
        slots: list[int] = []
        for at, value in zip(last.values(), values, strict=True):
            slot = self._by_value.get(value)
            if slot is not None and not np.array_equal(self._vector(slot), rows[at]):
                slot = None  # another vector of equal hash
            twin = fresh.get(value)
            if slot is None and twin is not None and np.array_equal(rows[new[twin]], rows[at]):
                slot = self._used + twin
            if slot is None:
                fresh[value] = len(new)
                slot = self._used + len(new)
                new.append(at)
            slots.append(slot)
        self._append(rows[new] if len(new) < len(rows) else rows)
        replaced = []
        for label, value, slot in zip(last, values, slots, strict=True):
            old = self._slot_of.get(label)
            if old == slot:
                continue
            if old is not None:
                replaced.append((label, old))
            self._attach(label, slot, value)
        # Last, so that no node dies that a later row of the batch shares.
        for label, old in replaced:
            self._detach(label, old)

    def _append(self, rows: Matrix) -> None:
        if len(rows) == 0:
            return
        end = self._used + len(rows)
        self._reserve(end)
        with self._changing():
            self._graph.add_items(rows, np.arange(self._used, end), num_threads=1)
        self._used = end

    def _attach(self, label: int, slot: int, value: int) -> None:
        self._slot_of[label] = slot
        if self._labels[slot] != DEAD:
            self._twins.setdefault(slot, []).append(label)
            return
        self._labels[slot] = label
        self._values[slot] = value
        self._by_value[value] = slot
        self._nodes += 1

    def _detach(self, label: int, slot: int) -> None:
        twins = self._twins.get(slot)
        if twins is not None:
            if self._labels[slot] == label:
                self._labels[slot] = twins.pop()
            else:
                twins.remove(label)
            if not twins:
                del self._twins[slot]
            return
        self._labels[slot] = DEAD
        value = int(self._values[slot])
        if self._by_value.get(value) == slot:
            del self._by_value[value]
        self._nodes -= 1
        with self._changing():
            self._graph.mark_deleted(slot)

    def _changing(self) -> Lock:
        with self._turn:  # lets a waiting reader go first
            return self._lock

    def _reserve(self, slots: int) -> None:
        room = self.room
        if slots <= room:
            return
        larger = max(slots, room * 3 // 2)
        with self._changing():
            try:
                self._graph.resize_index(larger)
            except RuntimeError as exc:
                raise MemoryError("the graph cannot grow") from exc
        more = np.full(larger - room, DEAD, dtype=np.int64)
        self._labels = np.concatenate((self._labels, more))
        self._values = np.concatenate((self._values, more))

    def _named(self, slots: list[int], distances: list[float], k: int) -> list[tuple[int, float]]:
        found: list[tuple[int, float]] = []
        for slot, distance in zip(slots, distances, strict=True):
            similarity = clip(1.0 - distance)
            found.append((int(self._labels[slot]), similarity))
            if slot in self._twins:
                found.extend((label, similarity) for label in self._twins[slot])
        return found[:k]

    def _live(self) -> tuple[Labels, Labels]:
        """Return labels and their slots; labels that share a node share its slot."""
        slots = np.flatnonzero(self._labels[: self._used] != DEAD)
        labels = self._labels[slots]
        if self._twins:
            shared = [(label, slot) for slot, twins in self._twins.items() for label in twins]
            more = np.array(shared, dtype=np.int64)
            labels = np.concatenate((labels, more[:, 0]))
            slots = np.concatenate((slots, more[:, 1]))
        return labels, slots

    def _read(self, graph: Any, labels: Labels, slots: Labels) -> tuple[Labels, Matrix]:
        """Read live slots of ``graph``, leaving out those removed meanwhile."""
        with self._turn:
            self._lock.acquire()
        try:
            try:
                return labels, _vectors(graph, slots, self._dim)
            except RuntimeError:  # one of them was removed; hnswlib then gives none
                kept = [at for at in range(len(slots)) if _alive(graph, int(slots[at]))]
                return labels[kept], _vectors(graph, slots[kept], self._dim)
        finally:
            self._lock.release()

    def _scan(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        labels, slots = self._live()
        return nearest(_vectors(self._graph, slots, self._dim), labels, vector, k)

    def _vector(self, slot: int) -> Vector:
        row: Vector = _vectors(self._graph, np.array([slot]), self._dim)[0]
        return row

    def _compact_now(self) -> None:
        content = list(self.snapshot())
        fresh = HnswIndex(self._dim, room=self._nodes, shape=self._shape)
        for labels, rows in content:
            fresh._insert(labels, rows)
        for name in self._STATE:
            setattr(self, name, getattr(fresh, name))


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
