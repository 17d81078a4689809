"""Vectors as they are: exact, 4 bytes a dimension. Graphs are hnswlib's."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ports import Matrix, Vector
from .coding import DEFAULT_SHAPE, GraphShape, Labels, Rows
from .exact import nearest
from .hnsw import HnswIndex


class Float32:
    """Implements ``Coding``. Similarities are exact but for rounding of some 1e-7."""

    __slots__ = ("_shape", "dim", "row")

    def __init__(self, dim: int, shape: GraphShape = DEFAULT_SHAPE) -> None:
        self.dim = dim
        self.row: np.dtype[Any] = np.dtype((np.float32, (dim,)))
        self._shape = shape

    def encode(self, vectors: Matrix) -> Rows:
        """Return ``vectors`` themselves."""
        return vectors

    def nearest(
        self, rows: Rows, labels: Labels, vector: Vector, k: int
    ) -> list[tuple[int, float]]:
        """Return the ``k`` most similar labels, best first."""
        return nearest(rows, labels, vector, k)

    def graph(self, room: int) -> HnswIndex:
        """Return an empty graph."""
        return HnswIndex(self.dim, room=room, shape=self._shape)
