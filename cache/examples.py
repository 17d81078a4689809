"""The example prompts of categories, and what is learnt of them: prototypes to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..policies.category import Prototypes
from .ports import Embedder


@dataclass(frozen=True, slots=True)
class Example:
    """An example prompt of a category."""

    category: str
    text: str


@dataclass(frozen=True, slots=True)
class Examples:
    """All of them, how near a prompt must be to one, and how much nearer than to others."""

    prompts: tuple[Example, ...] = ()
    min_similarity: float = 0.3
    margin: float = 0.0


async def learnt(examples: Examples, embedder: Embedder) -> Prototypes | None:
    """Embed ``examples``; None when there are none that fit. Raises ``EmbedderError``."""
    names: list[str] = []
    vectors = []
    for example in examples.prompts:
        vector = await embedder.embed(example.text)
        if vector is not None:
            names.append(example.category)
            vectors.append(vector)
    if not vectors:
        return None
    return Prototypes(
        names,
        np.stack(vectors).astype(np.float32),
        min_similarity=examples.min_similarity,
        margin=examples.margin,
    )
