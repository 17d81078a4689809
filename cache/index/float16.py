"""Vectors in 2 bytes a dimension, on usearch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ports import Matrix, Vector
from .coding import GraphShape, Labels, Rows
from .exact import nearest
from .packed import PACKED_SHAPE, SPARE, PackedGraph, best, dots

# Rounding moves a component by at most 2**-11 of it, or 2**-25 where it is next to nothing, and so
# a product with another vector by at most 2**-11 times both lengths: ``exact.py`` lets squared
# lengths be 1.02.
LOST = 2**-11 * 1.02 + 1e-6
FEW = 16  # rows that numpy converts sooner than a call elsewhere pays


class Float16:
    """Implements ``Coding``. A similarity is stated 0.0005 too low, and at most twice that."""

    __slots__ = ("_lost", "_shape", "dim", "metric", "row", "scalar")

    def __init__(self, dim: int, shape: GraphShape = PACKED_SHAPE) -> None:
        self.dim = dim
        self.row: np.dtype[Any] = np.dtype((np.float16, (dim,)))
        self.scalar = "f16"
        self.metric = "ip"
        self._shape = shape
        self._lost = LOST + 2**-25 * float(np.sqrt(dim))

    def encode(self, vectors: Matrix) -> Rows:
        """Round ``vectors``."""
        return vectors.astype(np.float16)

    def nearest(
        self, rows: Rows, labels: Labels, vector: Vector, k: int
    ) -> list[tuple[int, float]]:
        """Return the ``k`` most similar labels, best first."""
        if len(rows) == 0 or k <= 0:
            return []
        if len(rows) > max(FEW, k + SPARE):
            chosen = best(dots(self.packed(vector), rows), k + SPARE)
            rows, labels = rows[chosen], labels[chosen]
        found = nearest(rows.astype(np.float32), labels, vector, k)
        return [(label, max(-1.0, similarity - self._lost)) for label, similarity in found]

    def graph(self, room: int) -> PackedGraph:
        """Return an empty graph with room for ``room`` vectors."""
        return PackedGraph(self, room=room, shape=self._shape)

    def components(self, rows: Rows) -> Rows:
        """Return ``rows`` themselves."""
        return rows

    def packed(self, vector: Vector) -> Rows:
        """Return ``vector``, rounded."""
        return vector.astype(np.float16)
