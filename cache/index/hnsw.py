"""A graph of vectors (HNSW), for partitions too large to scan.

What hnswlib needs and what is done about it:

- Searching and adding are not safe side by side, resizing with neither: one owner does all three.
- Deleting marks a tombstone, which costs memory and time until ``build`` makes a fresh graph;
  reusing deleted slots instead costs ten times a plain insert. Replacing is delete and insert.
- Asking for more neighbours than can be reached raises: ``k`` is kept within the live count, and
  a graph that still fails is asked for fewer, or scanned.
- Inserting where nothing live can be reached is undefined: tombstones are bounded here.
- Equal vectors link to each other only; labels that have them share a slot (``nodes.py``).

What stays: hundreds of vectors strewn evenly, in hundreds of directions, about one stored vector
link to that one only, and some of them cannot be reached (a miss, never a wrong neighbour).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from ..entries.slot_table import ABSENT
from ..ports import Matrix, Vector
from ..snapshot.memory_file import MemoryFile, memory_file
from ..snapshot.sections import Sink, Source, Unusable
from .coding import DEFAULT_SHAPE, GraphShape, Labels
from .exact import checked, checked_label, checked_many, clip, nearest
from .nodes import Nodes

SMALLEST = 64  # slots
SLICE = 32  # rows read at once for a snapshot; holds the interpreter for about 0.3 ms
SCAN_ROWS = 256  # at most so many live rows are scanned when the graph cannot fill k: 2-3 ms
# How hnswlib 0.8 begins a file: six counts and offsets, two numbers, then three, one, and one.
_FILE_HEAD = struct.Struct("<6QiI3QdQ")


class HnswIndex:
    """Approximate search in an hnswlib graph. Implements ``Index``; one owner.

    Memory is slots (live and tombstones) x (4 dim + 140 bytes) and about 40 bytes of book-keeping.
    Adding takes 0.1-0.3 ms. Should nobody ever compact, ``remove`` does so itself, at a stall,
    once tombstones outnumber the living by ``WORST``.
    """

    __slots__ = ("_dim", "_graph", "_lock", "_nodes", "_shape", "_turn")

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
        self._graph = _new_graph(dim, max(room, SMALLEST), shape)
        self._nodes = Nodes(partial(_row, self._graph, dim))

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return f"HnswIndex({len(self)} x {self._dim}, {self.tombstones} tombstones)"

    @property
    def tombstones(self) -> int:
        """Count the slots that hold removed or replaced vectors."""
        return self._nodes.dead

    @property
    def room(self) -> int:
        """Count the slots there is memory for."""
        return int(self._graph.get_max_elements())

    def add(self, label: int, vector: Vector) -> None:
        """Add ``vector`` under ``label``, replacing what is there. Raises ``ValueError``."""
        row = checked(vector, self._dim)[None]
        self.take(np.array([checked_label(label)], dtype=np.int64), row)

    def add_many(self, labels: Sequence[int] | Labels, vectors: Matrix) -> None:
        """Add row i of ``vectors`` (n, dim) under label i; a later row replaces an earlier one.

        One thread, without the interpreter's lock. Raises ``ValueError``; then none is added.
        """
        numbers, rows = checked_many(labels, vectors, self._dim)
        self.take(numbers, rows)

    def take(self, labels: Labels, rows: Matrix) -> None:
        """Add row i under label i; a later row replaces an earlier one. Both as checked."""
        plan = self._nodes.plan(labels, rows)
        self._append(rows[plan.new] if len(plan.new) < len(rows) else rows)
        for slot in self._nodes.carry_out(plan):
            self._bury(slot)

    def remove(self, label: int) -> None:
        """Remove ``label``; a label that is absent is not an error."""
        slot = self._nodes.remove(label)
        if slot == ABSENT:
            return
        self._bury(slot)
        if self._nodes.dead > self.WORST * self._nodes.live + SMALLEST:
            self._compact_now()

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` live ``(label, cosine similarity)`` pairs, best first.

        Approximate. Tombstones are passed through but never returned nor counted, so they hide no
        live neighbour.
        """
        vector = checked(vector, self._dim)
        nodes = min(k, self._nodes.live)
        while nodes > 0:
            try:
                slots, distances = self._graph.knn_query(vector, k=nodes, num_threads=1)
            except RuntimeError:  # hnswlib cannot reach so many live nodes
                if len(self) <= SCAN_ROWS:
                    return self._scan(vector, k)
                nodes //= 2
                continue
            near = [
                (slot, clip(1.0 - distance))
                for slot, distance in zip(slots[0].tolist(), distances[0].tolist(), strict=True)
            ]
            return self._nodes.named(near, k)
        return []

    def snapshot(self) -> Iterator[tuple[Labels, Matrix]]:
        """Return what lives now, in slices that another thread may read while the owner goes on.

        Nothing is copied here but the slot numbers. Labels removed meanwhile may be left out.
        Reading costs about 15 us a row of 384 and stops the owner for no longer than one slice.
        """
        labels, slots = self._nodes.content()
        graph = self._graph
        return (
            self._read(graph, labels[start : start + SLICE], slots[start : start + SLICE])
            for start in range(0, len(slots), SLICE)
        )

    def living(self) -> Iterator[tuple[Labels, Matrix]]:
        """Return what lives now, in slices; takes no lock, which nobody might give back."""
        labels, slots = self._nodes.content()
        return (
            (
                labels[start : start + SLICE],
                _vectors(self._graph, slots[start : start + SLICE], self._dim),
            )
            for start in range(0, len(slots), SLICE)
        )

    def save(self, sink: Sink) -> None:
        """Write the graph as hnswlib does: 0.4 s for a GB, in which no other thread runs."""
        with memory_file() as file:
            self._graph.save_index(file.path)
            sink.put("graph", file.size_bytes, file.pieces())
        self._nodes.save(sink)

    def load(self, source: Source) -> bool:
        """Become what was written."""
        import hnswlib  # noqa: PLC0415 - not needed until a partition is large

        graph = hnswlib.Index("ip", self._dim)
        nodes = Nodes(partial(_row, graph, self._dim))
        with memory_file() as file:
            file.fill(source.take("graph")[1])
            saved = _SavedRows(file, self._dim)
            room = saved.count + saved.count // 16 + SMALLEST
            try:
                graph.load_index(file.path, max_elements=room)
            except RuntimeError as exc:
                raise Unusable("Damaged") from exc
            nodes.load(source, saved.row)
        if nodes.used != saved.count:
            raise Unusable("Damaged")
        graph.set_ef(self._shape.ef_among(nodes.used))
        self._graph, self._nodes = graph, nodes
        return True

    def _append(self, rows: Matrix) -> None:
        if len(rows) == 0:
            return
        start = self._nodes.used
        self._reserve(start + len(rows))
        with self._changing():
            self._graph.add_items(rows, np.arange(start, start + len(rows)), num_threads=1)
        self._graph.set_ef(self._shape.ef_among(start + len(rows)))

    def _bury(self, slot: int) -> None:
        with self._changing():
            self._graph.mark_deleted(slot)

    def _changing(self) -> Lock:
        with self._turn:  # lets a waiting reader go first
            return self._lock

    def _reserve(self, slots: int) -> None:
        room = self.room
        if slots <= room:
            return
        # By little: each slot has a lock of 40 bytes, used or not, and growing takes some ms.
        larger = max(slots, room * 9 // 8, room + SMALLEST)
        with self._changing():
            try:
                self._graph.resize_index(larger)
            except RuntimeError as exc:
                raise MemoryError("the graph cannot grow") from exc

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
        labels, slots = self._nodes.content()
        return nearest(_vectors(self._graph, slots, self._dim), labels, vector, k)

    def _compact_now(self) -> None:
        fresh = HnswIndex(self._dim, room=self._nodes.live, shape=self._shape)
        for labels, rows in self.snapshot():
            fresh.take(labels, rows)
        self._graph, self._nodes = fresh._graph, fresh._nodes


class _SavedRows:
    """The rows in a file of hnswlib's, which it would give out ten times as slowly."""

    def __init__(self, file: MemoryFile, dim: int) -> None:
        if file.size_bytes < _FILE_HEAD.size:
            raise Unusable("Damaged")
        self._map = mmap.mmap(file.descriptor, file.size_bytes, access=mmap.ACCESS_READ)
        _, _, self.count, self._step, label, row, *_ = _FILE_HEAD.unpack_from(self._map)
        self._start, self._width = _FILE_HEAD.size + row, 4 * dim
        end = _FILE_HEAD.size + self.count * self._step
        if row + self._width > self._step or label + 8 > self._step or end > len(self._map):
            raise Unusable("Damaged")
        at = _FILE_HEAD.size + label
        labels = np.ndarray(self.count, "<u8", self._map, at, (self._step,))
        if not np.array_equal(labels, np.arange(self.count, dtype=np.uint64)):
            raise Unusable("Damaged")  # slots are numbered as rows came in

    def row(self, slot: int) -> bytes:
        """Return the bytes of the row at ``slot``."""
        at = self._start + slot * self._step
        return self._map[at : at + self._width]


def _new_graph(dim: int, room: int, shape: GraphShape) -> Any:
    import hnswlib  # noqa: PLC0415 - not needed until a partition is large

    graph = hnswlib.Index("ip", dim)
    graph.init_index(room, M=shape.m, ef_construction=shape.ef_construction, random_seed=shape.seed)
    graph.set_ef(shape.ef)
    return graph


def _vectors(graph: Any, slots: Labels, dim: int) -> Matrix:
    # As a list: hnswlib's own conversion to an array takes four times as long.
    return np.array(graph.get_items(slots, return_type="list"), dtype=np.float32).reshape(-1, dim)


def _row(graph: Any, dim: int, slot: int) -> Matrix:
    return _vectors(graph, np.array([slot]), dim)


def _alive(graph: Any, slot: int) -> bool:
    try:
        graph.get_items([slot], return_type="list")
    except RuntimeError:
        return False
    return True
