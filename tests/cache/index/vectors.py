"""Vectors that look like embedded prompts: topics, and queries near stored ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindcache.cache.ports import Index, Matrix


def normalised(rows: NDArray[np.floating[Any]]) -> Matrix:
    unit: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def prompts(count: int, dim: int, seed: int = 0) -> Matrix:
    """Draw ``count`` vectors around common topics; neighbours within one have cosine 0.4-0.5."""
    rng = np.random.default_rng(seed)
    topics = rng.standard_normal((max(8, count // 50), dim))
    return normalised(
        0.9 * topics[rng.integers(0, len(topics), count)] + rng.standard_normal((count, dim))
    )


def paraphrases(rows: Matrix, seed: int = 1) -> Matrix:
    """Move each row a little: cosine to the original about 0.9."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(rows.shape) * (0.5 / np.sqrt(rows.shape[1]))
    return normalised(rows + noise)


def recall(index: Index, reference: Index, queries: Matrix) -> float:
    """Return the share of ``queries`` whose best neighbour is as near as the reference's."""
    right = 0
    for query in queries:
        found, best = index.search(query, 4), reference.search(query, 1)
        right += bool(found) and found[0][1] >= best[0][1] - 1e-5
    return right / len(queries)
