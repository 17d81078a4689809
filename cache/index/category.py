"""The index of one category: many partitions that never see each other.

A partition goes through three stages, by size:

1. up to ``slab_rows``: a block in the category's slab, an integer here;
2. above: contiguous rows of its own, scanned;
3. from ``graph_from``: a graph of its own.

Stages 1 and 2 are exact. Vectors lie in one place at a time, save while a build is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..ports import Matrix, PartitionKey, Vector
from ..snapshot.sections import (
    Sink,
    Source,
    Unusable,
    put_array,
    put_facts,
    take_array,
    take_facts,
)
from .build import Build
from .coding import Coding, Labels, Rows
from .exact import checked, checked_label, checked_many
from .float32 import Float32
from .partition import GRAPH_FROM, PartitionIndex
from .slab import MOST, Extent, Slab

READ_AT_ONCE = 256  # small partitions


class CategoryIndex:
    """Vectors of one category under (partition, label). One owner; no method blocks for long.

    Slow work is fetched and run elsewhere, one build at a time::

        while (build := index.next_build()) is not None:
            try:
                await loop.run_in_executor(pool, build.run)
            finally:
                index.finish_build(build)

    Call it after adding or removing; it costs nothing when nothing is due.
    """

    def __init__(
        self,
        dim: int,
        *,
        graph_from: int = GRAPH_FROM,
        slab_rows: int = MOST,
        coding: Callable[[int], Coding] = Float32,
    ) -> None:
        """Take limits in rows: 1 <= ``slab_rows`` <= 64, ``graph_from`` above it.

        ``coding`` makes what keeps vectors of ``dim`` dimensions.
        """
        if not 1 <= slab_rows <= MOST or graph_from <= slab_rows:
            raise ValueError(f"need 1 <= slab_rows <= {MOST} and slab_rows < graph_from")
        self._dim = dim
        self._graph_from = graph_from
        self._slab_rows = slab_rows
        self._coding = coding(dim)
        self._slab = Slab(self._coding)
        self._held: dict[PartitionKey, Extent | PartitionIndex] = {}
        self._count = 0
        self._due: dict[PartitionKey, None] = {}
        self._building: tuple[PartitionKey, PartitionIndex, Build] | None = None
        self._again = False

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"CategoryIndex({self._count} in {len(self._held)} partitions)"

    @property
    def partitions(self) -> int:
        """Count the partitions that hold at least one vector."""
        return len(self._held)

    def size(self, partition: PartitionKey) -> int:
        """Count the live labels of ``partition``."""
        return _size(self._held.get(partition))

    def add(self, partition: PartitionKey, label: int, vector: Vector) -> None:
        """Add ``vector`` under ``label``, replacing what is there. Raises ``ValueError``."""
        row = self._coding.encode(checked(vector, self._dim)[None])
        self._put(partition, checked_label(label), row)

    def add_many(
        self, partition: PartitionKey, labels: Sequence[int] | Labels, vectors: Matrix
    ) -> None:
        """Add row i of ``vectors`` (n, dim) under label i; a later row replaces an earlier one.

        Raises ``ValueError``; then none is added. Meant for loading: a new partition is copied
        in, about 2 us a row, and searched by scanning until its graph is built.
        """
        numbers, vectors = checked_many(labels, vectors, self._dim)
        rows = self._coding.encode(vectors)
        held = self._held.get(partition)
        before = _size(held)
        if not isinstance(held, PartitionIndex):
            if before + len(numbers) <= self._slab_rows:
                for at, label in enumerate(numbers.tolist()):
                    self._put(partition, label, rows[at : at + 1])
                return
            held = self._own(partition, held)
        held.take(numbers, rows)
        self._count += len(held) - before
        self._settle(partition, held)

    def remove(self, partition: PartitionKey, label: int) -> None:
        """Remove ``label`` from ``partition``; what is absent is not an error."""
        held = self._held.get(partition)
        if held is None:
            return
        before = _size(held)
        if isinstance(held, PartitionIndex):
            held.remove(label)
            self._settle(partition, held)
        else:
            rest = self._slab.remove(held, label)
            if rest is None:
                del self._held[partition]
            else:
                self._held[partition] = rest
        self._count += self.size(partition) - before

    def search(self, partition: PartitionKey, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` ``(label, cosine similarity)`` of ``partition`` alone, best first.

        Raises ``ValueError`` for a vector that ``add`` would refuse.
        """
        held = self._held.get(partition)
        if isinstance(held, PartitionIndex):
            return held.search(vector, k)
        vector = checked(vector, self._dim)
        if held is None:
            return []
        labels, rows = self._slab.read(held)
        return self._coding.nearest(rows, labels, vector, k)

    def drop(self, partition: PartitionKey) -> None:
        """Remove ``partition`` with all it holds; one that is absent is not an error."""
        held = self._held.pop(partition, None)
        if held is None:
            return
        self._count -= _size(held)
        self._due.pop(partition, None)
        if isinstance(held, PartitionIndex):
            held.abandon_build()
        else:
            self._slab.free(held)

    def renew(self) -> None:
        """Have graphs with removed vectors built anew, so that these are gone from memory too."""
        for partition, held in self._held.items():
            if isinstance(held, PartitionIndex) and (held.tombstones or held.building):
                held.soil()
                self._due[partition] = None

    def save(self, sink: Sink) -> None:
        """Write the vectors, and no removed one that ``renew`` was told of."""
        put_facts(sink, "vectors", (type(self._coding).__name__, self._dim, self._slab_rows))
        small = [(key, at) for key, at in self._held.items() if not isinstance(at, PartitionIndex)]
        sizes = np.fromiter((Slab.size(at) for _, at in small), dtype=np.uint8, count=len(small))
        put_array(sink, "small sizes", sizes)
        sink.put("small", 16 * len(small), (key for key, _ in small))
        extents, rows = [at for _, at in small], int(sizes.sum(dtype=np.int64))
        sink.put("small labels", 8 * rows, self._slab_pieces(extents, 0))
        sink.put("small rows", self._coding.row.itemsize * rows, self._slab_pieces(extents, 1))
        large = {key: at for key, at in self._held.items() if isinstance(at, PartitionIndex)}
        put_facts(sink, "large", [bytes(key) for key in large])
        for held in large.values():
            held.save(sink)

    def load(self, source: Source) -> None:
        """Become what was written, empty before. Raises ``Unusable``."""
        known = (type(self._coding).__name__, self._dim, self._slab_rows)
        if take_facts(source, "vectors", tuple[str, int, int]) != known:
            raise Unusable("OtherVectors")
        sizes = take_array(source, "small sizes", np.uint8).tolist()
        keys = take_array(source, "small", (np.uint8, (16,)))
        labels = take_array(source, "small labels", np.int64)
        rows = take_array(source, "small rows", self._coding.row)
        if len(keys) != len(sizes) or not len(labels) == len(rows) == sum(sizes):
            raise Unusable("Damaged")
        start = 0
        for key, size in zip(keys, sizes, strict=True):
            extent = self._slab.store(labels[start : start + size], rows[start : start + size])
            self._held[PartitionKey(key.tobytes())] = extent
            start += size
        self._count = len(labels)
        for name in take_facts(source, "large", list[bytes]):
            self._load_large(PartitionKey(name), source)

    def next_build(self) -> Build | None:
        """Return work to run in a thread, None when there is none or one build is under way.

        Each build returned must be given to ``finish_build``, however its ``run`` ended.
        """
        if self._building is not None:
            _, _, build = self._building
            again, self._again = self._again, False
            return build if again else None
        while self._due:
            partition = next(iter(self._due))
            del self._due[partition]
            held = self._held.get(partition)
            if isinstance(held, PartitionIndex) and held.due:
                build = held.start_build()
                self._building = (partition, held, build)
                return build
        return None

    def finish_build(self, build: Build) -> None:
        """Put the result of ``build`` in place, or drop it when its ``run`` failed.

        A failed build is tried again after the next change to its partition.
        """
        if self._building is None or self._building[2] is not build:
            return
        partition, held, _ = self._building
        if not held.finish_build(build):
            self._again = True
            return
        self._building = None
        if build.ready and self._held.get(partition) is held:
            self._settle(partition, held)

    def _load_large(self, partition: PartitionKey, source: Source) -> None:
        held = PartitionIndex(self._dim, graph_from=self._graph_from, coding=self._coding)
        held.load(source)
        self._held[partition] = held
        self._count += len(held)
        if held.due:
            self._due[partition] = None

    def _slab_pieces(self, extents: Sequence[Extent], part: int) -> Iterator[bytes]:
        """Read labels (``part`` 0) or rows (1) of the slab, some partitions at a time."""
        for start in range(0, len(extents), READ_AT_ONCE):
            some = extents[start : start + READ_AT_ONCE]
            yield np.concatenate([self._slab.read(at)[part] for at in some]).tobytes()

    def _put(self, partition: PartitionKey, label: int, row: Rows) -> None:
        """Add the one ``row`` under ``label``, replacing what is there."""
        held = self._held.get(partition)
        before = _size(held)
        if isinstance(held, PartitionIndex):
            held.put(label, row)
            self._settle(partition, held)
        elif held is None:
            self._held[partition] = self._slab.store_one(label, row)
        elif before < self._slab_rows or label in self._slab.read(held)[0]:
            self._held[partition] = self._slab.add(held, label, row)
        else:
            self._own(partition, held).put(label, row)
        self._count += self.size(partition) - before

    def _own(self, partition: PartitionKey, extent: Extent | None) -> PartitionIndex:
        """Move ``partition`` out of the slab."""
        own = PartitionIndex(self._dim, graph_from=self._graph_from, coding=self._coding)
        if extent is not None:
            own.take(*self._slab.read(extent))
            self._slab.free(extent)
        self._held[partition] = own
        return own

    def _settle(self, partition: PartitionKey, held: PartitionIndex) -> None:
        """Let ``partition`` take the stage that its size calls for, or note the build it needs."""
        if len(held) == 0:
            held.abandon_build()
            self._due.pop(partition, None)
            del self._held[partition]
        elif held.due:
            self._due[partition] = None
        elif len(held) <= self._slab_rows // 4 and not held.building:
            content = held.content()
            if content is not None:
                self._held[partition] = self._slab.store(*content)


def _size(held: Extent | PartitionIndex | None) -> int:
    if held is None:
        return 0
    if isinstance(held, PartitionIndex):
        return len(held)
    return Slab.size(held)
