"""Compares answers by the similarity of their texts: costs no call, and needs no other model."""

from __future__ import annotations

import re

import numpy as np

from ...policies.contradiction import contradict
from ..errors import EmbedderError, JudgeError
from ..ports import Embedder, Matrix

PART_CHARS = 600  # of English about 150 tokens: fits the window of the smallest models
MOST_PARTS = 8  # of one answer; each costs a run of the embedder

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")


class SimilarityJudge:
    """An ``AnswerJudge`` that calls answers the same when all they say is near.

    An answer longer than ``PART_CHARS`` is read in parts, each of which is held against the nearest
    part of the other answer: comparing the beginnings alone would call any two answers that open
    alike the same. Longer than ``MOST_PARTS`` parts, it cannot say. What ``contradict`` objects to
    is not the same, however near.
    """

    def __init__(self, embedder: Embedder, min_similarity: float) -> None:
        self._embedder = embedder
        self._min_similarity = min_similarity

    async def same(self, question: str, stored: str, fresh: str) -> bool | None:  # noqa: ARG002
        """Compare two answers. Raises ``JudgeError``."""
        if stored.strip() == fresh.strip():
            return True
        sides = parts(stored), parts(fresh)
        if not all(0 < len(side) <= MOST_PARTS for side in sides):
            return None
        one, other = [await self._vectors(side) for side in sides]
        if one is None or other is None:
            return None
        similarity = _nearness(one @ other.T, sides)
        return similarity >= self._min_similarity and not contradict(stored, fresh)

    async def _vectors(self, texts: list[str]) -> Matrix | None:
        """Embed one after the other, so that a lookup never waits for more than one of them."""
        rows = []
        for text in texts:
            try:
                vector = await self._embedder.embed(text)
            except EmbedderError as exc:
                raise JudgeError(type(exc).__name__) from exc
            if vector is None:
                return None
            rows.append(vector)
        return np.stack(rows)


def parts(text: str) -> list[str]:
    """Cut ``text`` at the ends of sentences into parts of at most ``PART_CHARS``."""
    found: list[str] = []
    for sentence in _SENTENCE_END.split(text.strip()):
        for start in range(0, len(sentence), PART_CHARS):
            piece = sentence[start : start + PART_CHARS]
            if found and len(found[-1]) + 1 + len(piece) <= PART_CHARS:
                found[-1] += " " + piece
            else:
                found.append(piece)
    return found


def _nearness(similar: Matrix, sides: tuple[list[str], list[str]]) -> float:
    """Return how near each answer is to what the other holds, by length; the lower of both."""
    best = similar.max(axis=1), similar.max(axis=0)
    return min(
        float(np.average(nearest, weights=[len(part) for part in side]))
        for nearest, side in zip(best, sides, strict=True)
    )
