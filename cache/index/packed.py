"""A graph of vectors kept in fewer bytes, on usearch: it compares them as they are, by SIMD.

- The rows lie in an arena, and the graph points to them.
- Nothing is ever removed from the graph: it would give the place to the next vector, at ten times
  the cost of an insert. A removed row stays as a tombstone that searches pass through; they ask
  for more where tombstones take the places. A build leaves them behind.
- The graph ranks by the packed query; the few best are then compared with the query as it is.
- Equal rows link to each other only; labels that have them share a slot (``nodes.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from ..entries.slot_table import ABSENT
from ..ports import Matrix, Vector
from ..snapshot.sections import Sink, Source, Unusable, put_array, take_array
from .arena import Arena
from .coding import Coding, GraphShape, Labels, Rows
from .exact import checked, checked_label, checked_many
from .nodes import Nodes

SLICE = 256  # rows read at once for a snapshot
AT_ONCE = 16  # rows inserted at once, 1-2 ms
SPARE = 4  # candidates beyond those asked for, since the packed query ranks a little otherwise
SCAN_ROWS = 256  # at most so many live rows are scanned when the graph cannot fill k
SMALLEST = 64  # slots
PACKED_SHAPE = GraphShape(ef=40)


def dots(packed: Rows, components: Rows) -> Rows:
    """Return the products (n,) of ``packed`` (dim,) with ``components`` (n, dim)."""
    import numkong  # noqa: PLC0415 - comes with usearch

    products: Rows = np.asarray(numkong.cdist(packed[None], components, metric="dot"))[0]
    return products


def best(scores: Rows, count: int) -> Labels:
    """Return the places of the ``count`` highest of more ``scores``, in no order."""
    return np.argpartition(scores, len(scores) - count)[len(scores) - count :]


class Packing(Coding, Protocol):
    """A coding that usearch can compare."""

    scalar: str  # usearch's name of a component's type
    metric: str  # and of the distance

    def components(self, rows: Rows) -> Rows:
        """Return the components of ``rows`` as a view (n, dim) of that type."""
        ...

    def packed(self, vector: Vector) -> Rows:
        """Return ``vector`` in that type, (dim,)."""
        ...


class PackedGraph:
    """Approximate search in a usearch graph. Implements ``Index``; one owner.

    Memory is slots (live and tombstones) x (a row + 140 bytes) and about 40 bytes of book-keeping.
    Should nobody ever compact, ``remove`` does so itself, at a stall, once tombstones outnumber
    the living by ``WORST``.
    """

    __slots__ = ("_arena", "_graph", "_nodes", "_packing", "_shape")

    WORST = 4

    def __init__(
        self, packing: Packing, *, room: int = 0, shape: GraphShape = PACKED_SHAPE
    ) -> None:
        """Make room for ``room`` vectors; it grows by itself."""
        self._packing = packing
        self._shape = shape
        self._graph = _new_graph(packing, shape)
        self._arena = Arena(packing.row, room)
        self._nodes = Nodes(self._arena.bytes_of)

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return f"PackedGraph({len(self)} x {self._packing.dim}, {self.tombstones} tombstones)"

    @property
    def tombstones(self) -> int:
        """Count the slots that hold removed or replaced vectors."""
        return self._nodes.dead

    @property
    def room(self) -> int:
        """Count the slots there is memory for."""
        return self._arena.room

    def add(self, label: int, vector: Vector) -> None:
        """Add ``vector`` under ``label``, replacing what is there. Raises ``ValueError``."""
        row = self._packing.encode(checked(vector, self._packing.dim)[None])
        self.take(np.array([checked_label(label)], dtype=np.int64), row)

    def add_many(self, labels: Sequence[int] | Labels, vectors: Matrix) -> None:
        """Add row i of ``vectors`` (n, dim) under label i; a later row replaces an earlier one.

        Raises ``ValueError``; then none is added.
        """
        numbers, vectors = checked_many(labels, vectors, self._packing.dim)
        self.take(numbers, self._packing.encode(vectors))

    def take(self, labels: Labels, rows: Rows) -> None:
        """Add row i under label i; a later row replaces an earlier one. Both as checked."""
        plan = self._nodes.plan(labels, rows)
        for slot, place in self._arena.add(rows[plan.new], AT_ONCE):
            keys = np.arange(slot, slot + len(place), dtype=np.uint64)
            self._graph.add(keys, self._packing.components(place), copy=False, threads=1)
        self._nodes.carry_out(plan)
        self._graph.expansion_search = self._shape.ef_among(self._nodes.used)

    def remove(self, label: int) -> None:
        """Remove ``label``; a label that is absent is not an error."""
        died = self._nodes.remove(label) != ABSENT
        if died and self._nodes.dead > self.WORST * self._nodes.live + SMALLEST:
            self._compact_now()

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` live ``(label, similarity)`` pairs, best first. Approximate."""
        vector = checked(vector, self._packing.dim)
        wanted = min(k, self._nodes.live)
        if wanted <= 0:
            return []
        slots = self._candidates(self._packing.packed(vector), wanted)
        if len(slots) < wanted and len(self) <= SCAN_ROWS:
            slots = sorted(set(self._nodes.content()[1].tolist()))
        rows, places = self._arena.rows(slots), np.array(slots, dtype=np.int64)
        return self._nodes.named(self._packing.nearest(rows, places, vector, wanted), k)

    def snapshot(self) -> Iterator[tuple[Labels, Rows]]:
        """Return what lives now, in slices that another thread may read while the owner goes on."""
        labels, slots = self._nodes.content()
        arena = self._arena
        return (
            (labels[start : start + SLICE], arena.rows(slots[start : start + SLICE].tolist()))
            for start in range(0, len(slots), SLICE)
        )

    def living(self) -> Iterator[tuple[Labels, Rows]]:
        """Return what lives now, in slices."""
        return self.snapshot()

    def save(self, sink: Sink) -> None:
        """Write the graph as usearch does, which takes its rows along."""
        put_array(sink, "rows", self._arena.rows(range(self._nodes.used)))
        graph = self._graph.save()
        sink.put("graph", len(graph), [graph])
        self._nodes.save(sink)

    def load(self, source: Source) -> bool:
        """Become what was written. Always False: the graph then has rows of its own."""
        rows = take_array(source, "rows", self._packing.row)
        graph = _new_graph(self._packing, self._shape)
        graph.load(bytearray(b"".join(source.take("graph")[1])))
        self._arena = Arena(self._packing.row, len(rows) + len(rows) // 16)
        for _ in self._arena.add(rows, len(rows)):
            pass
        nodes = Nodes(self._arena.bytes_of)
        nodes.load(source, lambda slot: self._arena.bytes_of(slot).tobytes())
        graph.expansion_search = self._shape.ef_among(nodes.used)
        if not nodes.used == len(graph) == len(rows):
            raise Unusable("Damaged")
        self._graph, self._nodes = graph, nodes
        return False

    def _candidates(self, packed: Rows, wanted: int) -> list[int]:
        """Return live slots near ``packed``; fewer than ``wanted`` when no more can be reached."""
        used, is_live = self._nodes.used, self._nodes.is_live
        asked = min(wanted + SPARE, used)
        while True:
            slots = self._graph.search(packed, asked, threads=1).keys.tolist()
            living = [slot for slot in slots if is_live(slot)]
            if len(living) >= wanted or len(slots) < asked or asked == used:
                return living
            asked = min(4 * asked, used)

    def _compact_now(self) -> None:
        fresh = PackedGraph(self._packing, room=len(self), shape=self._shape)
        for labels, rows in self.snapshot():
            fresh.take(labels, rows)
        self._graph, self._nodes, self._arena = fresh._graph, fresh._nodes, fresh._arena


def _new_graph(packing: Packing, shape: GraphShape) -> Any:
    from usearch.index import Index  # noqa: PLC0415 - only where a category asks for it

    return Index(
        ndim=packing.dim,
        metric=packing.metric,
        dtype=packing.scalar,
        connectivity=shape.m,
        expansion_add=shape.ef_construction,
        expansion_search=shape.ef,
        enable_key_lookups=False,  # slots are its keys, and never looked up
    )
