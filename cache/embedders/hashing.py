"""A deterministic encoder without a model, for tests. It knows spelling, not meaning."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from ..ports import Encoded, Vector

_WORD = re.compile(r"\w+|[^\w\s]")
_WORD_WEIGHT, _PAIR_WEIGHT, _TRIGRAM_WEIGHT = 1.0, 0.5, 0.3


class HashingEncoder:
    """Hashes words, word pairs and letter trigrams into ``dim`` signed buckets.

    Texts that share words are near, also on another machine or in another process. The window
    counts words and punctuation marks. Texts without any, or with lone surrogates, do not fit.
    """

    def __init__(self, dim: int = 384, window: int = 256) -> None:
        self.dim = dim
        self.window = window
        self.identity = f"hashing/1/{dim}"

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode ``texts``."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        fits = np.zeros(len(texts), dtype=np.bool_)
        for row, text in enumerate(texts):
            vector = self._vector(text)
            if vector is not None:
                vectors[row], fits[row] = vector, True
        return Encoded(vectors, fits)

    def _vector(self, text: str) -> Vector | None:
        words = _WORD.findall(text.lower())
        if not 0 < len(words) <= self.window:
            return None
        vector = np.zeros(self.dim, dtype=np.float32)
        try:
            for feature, weight in _features(words):
                code = zlib.crc32(feature.encode())
                vector[(code >> 1) % self.dim] += weight if code & 1 else -weight
        except UnicodeEncodeError:
            return None
        norm = float(np.linalg.norm(vector))
        return vector / np.float32(norm) if norm > 0.0 else None  # opposite signs may cancel out


def _features(words: list[str]) -> Iterator[tuple[str, float]]:
    for word in words:
        yield word, _WORD_WEIGHT
        padded = f"<{word}>"
        for start in range(len(padded) - 2):
            yield f"3{padded[start : start + 3]}", _TRIGRAM_WEIGHT
    for left, right in pairwise(words):
        yield f"{left} {right}", _PAIR_WEIGHT
