"""A cache of a few lines, to test the arithmetic of the protocols."""

import math
import re
from collections import Counter
from collections.abc import Sequence

import pytest

from kindcache.adapters.evaluation.asker import Asked


def similarity(one: str, other: str) -> float:
    """Cosine of word counts."""
    left, right = (Counter(re.findall(r"\w+", text.lower())) for text in (one, other))
    dot = sum(count * right[word] for word, count in left.items())
    norms = math.prod(sum(n * n for n in words.values()) for words in (left, right))
    return dot / math.sqrt(norms) if norms else 0.0


class WordCountAsker:
    """Serves above ``bar``; never caches prompts that hold "medicine"."""

    def __init__(self, bar: float = 0.8) -> None:
        self.bar = bar
        self.scopes: dict[str, list[str]] = {}
        self.forgotten: list[str] = []
        self.prepared: list[list[str]] = []
        self.filled_in: list[str] = []

    async def prepare(self, prompts: Sequence[str]) -> None:
        self.prepared.append(list(prompts))

    async def ask(self, scope: str, prompt: str) -> Asked:
        category = "code" if "code" in prompt else "default"
        if "medicine" in prompt:
            return Asked(False, None, None, None, "medical", "category")
        stored = self.scopes.get(scope, [])
        near = max(stored, key=lambda one: similarity(one, prompt), default=None)
        if near is None:
            return Asked(False, None, None, None, category, "new")
        value = similarity(near, prompt)
        if value < self.bar:
            return Asked(False, None, None, value, category, "below_threshold")
        tier = "exact" if near == prompt else "semantic"
        return Asked(True, tier, near, value, category, tier)

    async def fill(self, scope: str, prompt: str) -> None:
        self.filled_in.append(scope)
        if "medicine" not in prompt:
            self.scopes.setdefault(scope, []).append(prompt)

    async def forget(self, scope: str) -> None:
        self.forgotten.append(scope)
        self.scopes.pop(scope, None)


@pytest.fixture
def asker() -> WordCountAsker:
    return WordCountAsker()
