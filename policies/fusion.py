"""One probability of "the same answer" from what a pair of prompts shows.

A logistic model of the scorer's log-odds and the cosine similarity, fitted on held-back pairs that
neither saw in training (``training/calibrate.py``). Its figures hold for one scorer and one
embedder; on other text than it was fitted on, they are an ordering rather than a promise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fusion:
    """The fitted coefficients. ``scorer`` is the identity that they belong to."""

    scorer: str
    intercept: float
    logit: float
    similarity: float

    def probability(self, similarity: float, logit: float) -> float:
        """Return the probability that an answer to one prompt answers the other; NaN is 0."""
        odds = self.intercept + self.logit * logit + self.similarity * similarity
        if math.isnan(odds):
            return 0.0
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, odds))))
