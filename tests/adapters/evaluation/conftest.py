"""A cache of a few lines, to test the arithmetic of the protocols."""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence

import pytest

from kindcache.adapters.evaluation.asker import Asked, Message


def similarity(one: str, other: str) -> float:
    """Cosine of word counts."""
    left, right = (Counter(re.findall(r"\w+", text.lower())) for text in (one, other))
    dot = sum(count * right[word] for word, count in left.items())
    norms = math.prod(sum(n * n for n in words.values()) for words in (left, right))
    return dot / math.sqrt(norms) if norms else 0.0


class WordCountAsker:
    """Serves above ``bar``; never caches prompts that hold "medicine".

    Where it is ``judged``, a judge reads every candidate: the third power of the similarity.
    """

    def __init__(self, bar: float = 0.8, *, judged: bool = False) -> None:
        self.bar = bar
        self.judged = judged
        self.scopes: dict[str, dict[str, list[str]]] = {}  # scope, earlier messages -> prompts
        self.forgotten: list[str] = []
        self.prepared: list[list[str]] = []
        self.filled_in: list[str] = []

    async def prepare(self, prompts: Sequence[str]) -> None:
        self.prepared.append(list(prompts))

    async def ask(self, scope: str, prompt: str, earlier: Sequence[Message] = ()) -> Asked:
        category = "code" if "code" in prompt else "default"
        if "medicine" in prompt:
            return Asked(False, None, None, None, "medical", "category")
        stored = self.scopes.get(scope, {}).get(json.dumps(earlier), [])
        near = max(stored, key=lambda one: similarity(one, prompt), default=None)
        if near is None:
            return Asked(False, None, None, None, category, "new")
        value = similarity(near, prompt)
        if near == prompt:
            return Asked(True, "exact", near, value, category, "exact")
        chance = value**3 if self.judged else None
        hit = value >= self.bar
        return Asked(
            hit=hit,
            tier="semantic" if hit else None,
            served_prompt=near if hit else None,
            similarity=value,
            category=category,
            reason="semantic" if hit else "below_threshold",
            probability=chance,
            candidate=near if self.judged else None,
        )

    async def fill(self, scope: str, prompt: str, earlier: Sequence[Message] = ()) -> None:
        self.filled_in.append(scope)
        if "medicine" not in prompt:
            self.scopes.setdefault(scope, {}).setdefault(json.dumps(earlier), []).append(prompt)

    async def forget(self, scope: str) -> None:
        self.forgotten.append(scope)
        self.scopes.pop(scope, None)


@pytest.fixture
def asker() -> WordCountAsker:
    return WordCountAsker()


@pytest.fixture
def judged() -> WordCountAsker:
    return WordCountAsker(judged=True)
