"""The index of one large partition: contiguous while a scan is quick, a graph beyond.

Microseconds at 384 dimensions, k = 8, one of two busy cores (``bench/index_stages.py``; p50)::

       rows   scan   scan: add   graph   graph: add
        128     11           2      14           21
      1,000     33           2      36           78
      2,000     72           3      42          121
      4,000     98           3      52          146
      5,000    171           3      74          211
     10,000    756           3     112          373

A miss is a search and an add, so the scan costs less up to some 7,000 rows, and it is exact. From
4,000 the graph starts to pay on hits, and before the rows outgrow the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..ports import Matrix, Vector
from ..snapshot.sections import Sink, Source, put_array, put_facts, take_array, take_facts
from .build import Build
from .coding import Coding, GraphIndex, Labels, Rows
from .exact import checked, checked_label, checked_many
from .flat import FlatIndex
from .float32 import Float32

GRAPH_FROM = 4000  # rows
DEAD_SHARE = 0.25  # tombstones among all slots that make a compaction due ...
DEAD_LEAST = 256  # ... and how many there must be at least


class PartitionIndex:
    """Exact or approximate search, whichever suits the size. Implements ``Index``; one owner.

    Nothing slow happens in its methods: becoming a graph, compacting one, and becoming contiguous
    again below a quarter of ``graph_from`` are builds, which the owner fetches and runs elsewhere::

        if index.due:
            build = index.start_build()
            await loop.run_in_executor(pool, build.run)
            index.finish_build(build)

    ``graph_from`` 0 makes it a graph from the first vector.
    """

    __slots__ = ("_build", "_cleaned", "_cleaning", "_coding", "_graph_from", "_held", "_soiled")

    def __init__(
        self, dim: int, *, graph_from: int = GRAPH_FROM, coding: Coding | None = None
    ) -> None:
        """Keep vectors as ``coding`` does; as float32 when there is none."""
        self._coding = coding or Float32(dim)
        self._graph_from = graph_from
        self._build: Build | None = None
        self._soiled = self._cleaned = self._cleaning = 0  # how often; up to when; by the build
        self._held: FlatIndex | GraphIndex = (
            FlatIndex(dim, self._coding) if graph_from > 0 else self._coding.graph(0)
        )

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"PartitionIndex({self._held!r})"

    @property
    def is_graph(self) -> bool:
        """Say whether searches are approximate."""
        return not isinstance(self._held, FlatIndex)

    @property
    def building(self) -> bool:
        """Say whether a build was started and not finished."""
        return self._build is not None

    @property
    def due(self) -> bool:
        """Say whether a build is called for and none is under way."""
        if self._build is not None:
            return False
        held, count = self._held, len(self._held)
        if isinstance(held, FlatIndex):
            return count >= self._graph_from
        if self._soiled > self._cleaned:
            return True
        dead = held.tombstones
        return count < self._graph_from // 4 or (
            dead >= DEAD_LEAST and dead >= DEAD_SHARE * (dead + count)
        )

    @property
    def tombstones(self) -> int:
        """Count the slots that hold removed or replaced vectors."""
        return 0 if isinstance(self._held, FlatIndex) else self._held.tombstones

    def add(self, label: int, vector: Vector) -> None:
        """Add ``vector`` under ``label``, replacing what is there. Raises ``ValueError``."""
        row = self._coding.encode(checked(vector, self._coding.dim)[None])
        self.put(checked_label(label), row)

    def put(self, label: int, row: Rows) -> None:
        """Add the one ``row`` under ``label``, replacing what is there."""
        self.take(np.array([label], dtype=np.int64), row)

    def add_many(self, labels: Sequence[int] | Labels, vectors: Matrix) -> None:
        """Add row i of ``vectors`` (n, dim) under label i. Raises ``ValueError``; then none is.

        Quick (a copy) while contiguous; a graph takes 0.1-0.3 ms a row.
        """
        numbers, rows = checked_many(labels, vectors, self._coding.dim)
        self.take(numbers, self._coding.encode(rows))

    def take(self, labels: Labels, rows: Rows) -> None:
        """Add row i under label i; a later row replaces an earlier one. Both as checked."""
        self._held.take(labels, rows)
        if self._build is not None:
            for at, label in enumerate(labels.tolist()):
                self._build.note(label, rows[at : at + 1])

    def remove(self, label: int) -> None:
        """Remove ``label``; a label that is absent is not an error."""
        self._held.remove(label)
        if self._build is not None:
            self._build.note(label, None)

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` live ``(label, cosine similarity)`` pairs, best first."""
        return self._held.search(vector, k)

    def soil(self) -> None:
        """Have a graph built anew, and kept in no snapshot before."""
        if self.is_graph or self.building:
            self._soiled += 1

    def save(self, sink: Sink) -> None:
        """Write the graph, or the rows where there is none that may be kept."""
        held = self._held
        as_graph = not isinstance(held, FlatIndex) and self._soiled == self._cleaned
        put_facts(sink, "graph?", as_graph)
        if isinstance(held, FlatIndex):
            labels, rows = held.content()
            put_array(sink, "rows", rows)
            put_array(sink, "labels", labels)
        elif as_graph:
            held.save(sink)
        else:
            _save_rows(sink, held, self._coding)

    def load(self, source: Source) -> None:
        """Become what was written. Raises ``Unusable``."""
        if take_facts(source, "graph?", bool):
            graph = self._coding.graph(0)
            lean = graph.load(source)
            self._held = graph
            if not lean:
                self.soil()
            return
        rows = take_array(source, "rows", self._coding.row)
        flat = FlatIndex(self._coding.dim, self._coding)
        flat.take(take_array(source, "labels", np.int64), rows)
        self._held = flat

    def content(self) -> tuple[Labels, Rows] | None:
        """Return n labels and rows as views until the next change; None of a graph."""
        return self._held.content() if isinstance(self._held, FlatIndex) else None

    def start_build(self) -> Build:
        """Begin the build that is due. Copies the rows of a contiguous index: 2-4 ms for 4,000."""
        assert self._build is None, "one build at a time"
        self._cleaning = self._soiled
        count = len(self._held)
        # Half-way between the two limits: neither is crossed again soon.
        graph = count >= self._graph_from // 2
        self._build = Build(
            self._coding.graph(count + count // 16)
            if graph
            else FlatIndex(self._coding.dim, self._coding),
            self._held.snapshot(),
        )
        return self._build

    def finish_build(self, build: Build) -> bool:
        """Put the result of ``build`` in place. Returns False when it must ``run`` once more.

        A build whose ``run`` failed or was cancelled is dropped, and the old index stays.
        """
        if build is not self._build:
            return True
        if build.ready:
            built = build.finish()
            if built is None:
                return False
            self._held = built
            self._cleaned = self._cleaning
        self._build = None
        return True

    def abandon_build(self) -> None:
        """Cancel the build that is under way, if there is one; its result is not wanted."""
        if self._build is not None:
            self._build.cancel()
            self._build = None


def _save_rows(sink: Sink, graph: GraphIndex, coding: Coding) -> None:
    labels: list[Labels] = [np.empty(0, dtype=np.int64)]

    def pieces() -> Iterator[bytes]:
        for some, rows in graph.living():
            labels.append(some)
            yield np.ascontiguousarray(rows).tobytes()

    sink.put("rows", len(graph) * coding.row.itemsize, pieces())
    put_array(sink, "labels", np.concatenate(labels))
