"""The index of one large partition: contiguous while a scan is quick, a graph beyond.

Microseconds at 384 dimensions, k = 8, one of two busy cores (``bench/index.py``; p50)::

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

from collections.abc import Sequence

from ..ports import Matrix, Vector
from .build import Build
from .exact import Labels, checked, checked_label, checked_many
from .flat import FlatIndex
from .hnsw import DEFAULT_SHAPE, GraphShape, HnswIndex

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

    __slots__ = ("_build", "_dim", "_graph_from", "_held", "_shape")

    def __init__(
        self, dim: int, *, graph_from: int = GRAPH_FROM, shape: GraphShape = DEFAULT_SHAPE
    ) -> None:
        self._dim = dim
        self._graph_from = graph_from
        self._shape = shape
        self._build: Build | None = None
        self._held: FlatIndex | HnswIndex = (
            FlatIndex(dim) if graph_from > 0 else HnswIndex(dim, shape=shape)
        )

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"PartitionIndex({self._held!r})"

    @property
    def is_graph(self) -> bool:
        """Say whether searches are approximate."""
        return isinstance(self._held, HnswIndex)

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
        dead = held.tombstones
        return count < self._graph_from // 4 or (
            dead >= DEAD_LEAST and dead >= DEAD_SHARE * (dead + count)
        )

    @property
    def tombstones(self) -> int:
        """Count the slots that hold removed or replaced vectors."""
        return self._held.tombstones if isinstance(self._held, HnswIndex) else 0

    def add(self, label: int, vector: Vector) -> None:
        """Add ``vector`` under ``label``, replacing what is there. Raises ``ValueError``."""
        vector = checked(vector, self._dim)
        self._held.add(checked_label(label), vector)
        if self._build is not None:
            self._build.note(label, vector)

    def add_many(self, labels: Sequence[int] | Labels, vectors: Matrix) -> None:
        """Add row i of ``vectors`` (n, dim) under label i. Raises ``ValueError``; then none is.

        Quick (a copy) while contiguous; a graph takes 0.1-0.3 ms a row.
        """
        numbers, rows = checked_many(labels, vectors, self._dim)
        self._held.add_many(numbers, rows)
        if self._build is not None:
            for label, row in zip(numbers.tolist(), rows, strict=True):
                self._build.note(label, row)

    def remove(self, label: int) -> None:
        """Remove ``label``; a label that is absent is not an error."""
        self._held.remove(label)
        if self._build is not None:
            self._build.note(label, None)

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` live ``(label, cosine similarity)`` pairs, best first."""
        return self._held.search(vector, k)

    def content(self) -> tuple[Labels, Matrix] | None:
        """Return labels (n,) and rows (n, dim) as views until the next change; None of a graph."""
        return self._held.content() if isinstance(self._held, FlatIndex) else None

    def start_build(self) -> Build:
        """Begin the build that is due. Copies the rows of a contiguous index: 2-4 ms for 4,000."""
        assert self._build is None, "one build at a time"
        count = len(self._held)
        # Half-way between the two limits: neither is crossed again soon.
        graph = count >= self._graph_from // 2
        target = (
            HnswIndex(self._dim, room=count + count // 4, shape=self._shape)
            if graph
            else FlatIndex(self._dim)
        )
        self._build = Build(target, self._held.snapshot())
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
        self._build = None
        return True

    def abandon_build(self) -> None:
        """Cancel the build that is under way, if there is one; its result is not wanted."""
        if self._build is not None:
            self._build.cancel()
            self._build = None
