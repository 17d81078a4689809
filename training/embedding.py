"""Runs the sentence encoder that the cache uses by default."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from kindcache.cache.embedders.weights import locate

MODEL = "all-MiniLM-L6-v2"


def folder() -> str:
    """Return where the encoder's weights lie. They come with the extra ``model``."""
    return locate(MODEL).location


@cache
def _model() -> SentenceTransformer:
    return SentenceTransformer(folder(), device="cpu")


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return (n, 384) float32, normalised."""
    found = _model().encode(
        list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False
    )
    return np.asarray(found, dtype=np.float32)
