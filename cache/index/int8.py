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

import math
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
        wide = rows["codes"].astype(np.float32)
        products = np.vecdot(wide, vector)
        # By what they are most likely, which tells near ones apart ten times as well as the least
        # they can be; a row is then stated no nearer than the one before it.
        order = np.argsort(-(products * rows["scale"]))[:k]
        rows, wide, length = rows[order], wide[order], float(vector @ vector)
        last, found = 1.0, []
        for label, product, square, scale, lost in zip(
            labels[order].tolist(),
            products[order].tolist(),
            np.vecdot(wide, wide).tolist(),
            rows["scale"].tolist(),
            rows["lost"].tolist(),
            strict=True,
        ):
            last = min(last, _least(product, square, scale, lost, length))
            found.append((label, clip(last)))
        return found

    def graph(self, room: int) -> PackedGraph:
        """Return an empty graph with room for ``room`` vectors."""
        return PackedGraph(self, room=room, shape=self._shape)

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


def _least(product: float, square: float, scale: int, lost: int, length: float) -> float:
    """Return the least that a similarity can be.

    Of codes c and query q: ``product`` q c, ``square`` c c, ``length`` q q; and a row's own two.
    """
    aside = math.sqrt(max(length - product * product / max(square, 1.0), 0.0) + ROUNDING)
    # A scale that was rounded down makes an opposite seem nearer.
    exact = (scale + (product < 0)) * SCALE_STEP * product
    return exact - aside * lost * LOST_STEP - ROUNDING
