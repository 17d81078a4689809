"""Vectors in 1 byte a dimension and 4 more, on usearch.

A vector v is kept as whole numbers c of -127 to 127, a scale s that brings s c next to v, and the
length of what is lost, e = v - s c. The scale is the one that makes e perpendicular to c. For a
query q of similarity p to s c that leaves::

    q v = q s c + q e >= p - |part of q perpendicular to c| |e|

which is what is stated: the true similarity or less. Of prompts embedded in 384 dimensions |e| is
0.007 (at most 0.014), so that a similarity of 0.95 is stated 0.002 too low, and one of 0.8 0.004;
``bench/index.py`` measures it. The query itself loses nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ports import Matrix, Vector
from .coding import GraphShape, Labels, Rows
from .exact import clip
from .packed import PACKED_SHAPE, SPARE, PackedGraph, best, dots

MOST = 127
SCALE_STEP = 2.0**-22  # 16 bits reach 0.0156; a scale is below 1.5 / 127
LOST_STEP = 2.0**-16  # 16 bits reach 1
ROUNDING = 2e-6  # of products in float32
FEW = 64  # rows that numpy converts in 4 us


class Int8:
    """Implements ``Coding``. What a similarity is stated too low follows from the vector."""

    __slots__ = ("_shape", "dim", "metric", "row", "scalar")

    def __init__(self, dim: int, shape: GraphShape = PACKED_SHAPE) -> None:
        self.dim = dim
        self.row: np.dtype[Any] = np.dtype(
            [("codes", np.int8, (dim,)), ("scale", np.uint16), ("lost", np.uint16)]
        )
        self.scalar = "i8"
        self.metric = "cos"  # not the product: each row has its own scale
        self._shape = shape

    def encode(self, vectors: Matrix) -> Rows:
        """Round ``vectors``. Scales are rounded down and losses up, which keeps the promise."""
        rows = np.zeros(len(vectors), dtype=self.row)
        wide = _codes(vectors).astype(np.float64)
        squares = np.maximum(np.einsum("ij,ij->i", wide, wide), 1.0)
        best_scale = np.einsum("ij,ij->i", vectors, wide) / squares
        lost = np.linalg.norm(vectors - best_scale[:, None] * wide, axis=1)
        rows["codes"] = wide
        rows["scale"] = np.floor(best_scale / SCALE_STEP)
        rows["lost"] = np.ceil(lost / LOST_STEP)
        return rows

    def nearest(
        self, rows: Rows, labels: Labels, vector: Vector, k: int
    ) -> list[tuple[int, float]]:
        """Return the ``k`` most similar labels, best first."""
        if len(rows) == 0 or k <= 0:
            return []
        if len(rows) > max(FEW, k + SPARE):
            scores = dots(self.packed(vector), rows["codes"]) * rows["scale"]
            chosen = best(scores, k + SPARE)
            rows, labels = rows[chosen], labels[chosen]
        likely, lost = _compared(rows, vector)
        # By what they are most likely, which tells near ones apart ten times as well as the least
        # they can be; a row is then stated no nearer than the one before it.
        order = np.argsort(-likely)[:k]
        stated = np.minimum.accumulate(likely[order] - lost[order])
        return [
            (label, clip(similarity))
            for label, similarity in zip(labels[order].tolist(), stated.tolist(), strict=True)
        ]

    def graph(self, room: int) -> PackedGraph:  # noqa: ARG002 - it grows by chunks
        """Return an empty graph."""
        return PackedGraph(self, self._shape)

    def components(self, rows: Rows) -> Rows:
        """Return the codes of ``rows``."""
        codes: Rows = rows["codes"]
        return codes

    def packed(self, vector: Vector) -> Rows:
        """Return the codes of ``vector``."""
        codes: Rows = _codes(vector[None])[0]
        return codes


def _codes(vectors: Matrix) -> Rows:
    top = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), np.float32(1e-30))
    codes: Rows = np.rint(vectors * (MOST / top)).astype(np.int8)
    return codes


def _compared(rows: Rows, vector: Vector) -> tuple[Vector, Vector]:
    """Return the similarity of ``vector`` to each row, and by how much it may be too high, (n,)."""
    wide = rows["codes"].astype(np.float32)
    products = np.vecdot(wide, vector)
    squares = np.maximum(np.vecdot(wide, wide), 1.0)
    aside = np.sqrt(np.maximum(float(vector @ vector) - products**2 / squares, 0.0) + ROUNDING)
    # A scale that was rounded down makes an opposite seem nearer.
    scale = (rows["scale"] + (products < 0)) * np.float32(SCALE_STEP)
    lost = rows["lost"] * np.float32(LOST_STEP)
    return scale * products, aside * lost + ROUNDING
