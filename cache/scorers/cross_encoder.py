"""Any sentence-transformers CrossEncoder with one output as a pair scorer."""

from __future__ import annotations

import math
from typing import Any

from ...policies.fusion import Fusion
from ..errors import ScorerError, StartupError


class CrossEncoderModel:
    """Wraps a loaded CrossEncoder. Nothing was fitted for it: its own odds are the odds."""

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self.identity = f"cross-encoder/{name}"
        self.fusion = Fusion(self.identity, intercept=0.0, logit=1.0, similarity=0.0)

    def logit(self, asked: str, stored: str) -> float | None:
        """Return the log-odds that the model gives the pair."""
        import torch  # noqa: PLC0415 - only where such a model is used

        try:
            if not self._fits(asked, stored):
                return None
            scores = self._model.predict(
                [(asked, stored)], activation_fn=torch.nn.Identity(), show_progress_bar=False
            )
            value = float(scores[0])
        except (RuntimeError, TypeError, ValueError) as exc:
            raise ScorerError(f"the cross-encoder failed with {type(exc).__name__}") from exc
        return None if math.isnan(value) else value

    def _fits(self, asked: str, stored: str) -> bool:
        """Say whether the model reads the pair whole: what it cuts off it cannot judge."""
        longest = self._model.max_seq_length
        if longest is None:
            return True
        ids = self._model.tokenizer(asked, stored, truncation=False, verbose=False)["input_ids"]
        return len(ids) <= int(longest)


def load(name: str) -> CrossEncoderModel:
    """Load the model called ``name``, a hub name or a path. Raises ``StartupError``."""
    try:
        from sentence_transformers import CrossEncoder  # noqa: PLC0415 - an optional dependency
    except ImportError as exc:
        raise StartupError("judge.scorer needs: pip install sentence-transformers") from exc
    try:
        model = CrossEncoder(name, num_labels=1)
    except (OSError, ValueError, RuntimeError) as exc:
        raise StartupError(f"judge.scorer: {name} cannot be loaded as a CrossEncoder") from exc
    return CrossEncoderModel(model, name)
