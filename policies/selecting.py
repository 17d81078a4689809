"""Which stored answers a request to invalidate names: conditions, and what they are asked of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from ..config.patterns import compile_pattern

# A vector that was kept as float16 or int8 says a little less than the one that was made; who asks
# for 0.85 gets what any way of keeping it may show as 0.85.
ROUNDING = 0.005
SUBJECT_BYTES = 48
PART_BYTES = 16
ANY = bytes(PART_BYTES)


@dataclass(frozen=True, slots=True)
class Selector:
    """Entries that meet every condition given; of several values of one, any will do.

    Plain values, so that it can be kept and sent. ``like`` needs ``at_least``, a cosine similarity.
    """

    entries: tuple[str, ...] = ()  # ids, hexadecimal
    whose: tuple[str, ...] = ()  # subjects of 48 bytes, hexadecimal; a part of zeros is anyone
    categories: tuple[str, ...] = ()
    models: tuple[str, ...] = ()  # as asked for; with * and ?
    tags: tuple[str, ...] = ()
    pattern: str = ""  # RE2, found anywhere in the prompt
    like: str = ""
    at_least: float = 0.0
    created_before_s: float = 0.0  # Unix time; 0 = whenever

    @property
    def is_empty(self) -> bool:
        """Say whether it names nothing in particular."""
        return self == Selector()

    @property
    def apart_from_age(self) -> Selector:
        """Return it for entries of any age: a later one of these names all that this one does."""
        return replace(self, created_before_s=0.0)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an entry. None = not known, which is not the same as not so."""

    key: bytes
    category: str
    prompt: str
    created_s: float
    whose: bytes | None = None  # 48 bytes
    model: str | None = None
    tags: tuple[str, ...] = ()
    vector: NDArray[np.float32] | None = None  # L2-normalised
    comparable: bool = True  # False: longer than the window of the embedder, like nothing


@dataclass(frozen=True, slots=True)
class Condition:
    """A selector, ready to be asked. ``vector`` is that of ``like``; None: it is not known now."""

    selector: Selector
    entries: frozenset[bytes]
    whose: tuple[bytes, ...]
    search: Callable[[str], object] | None
    vector: NDArray[np.float32] | None

    def holds(self, facts: Facts) -> bool | None:
        """Say whether the entry is meant; None = only its vector, or that of ``like``, can tell.

        What else is not known of an entry speaks for it: doubt is a miss.
        """
        asked = self.selector
        plain = (
            (not self.entries or facts.key in self.entries)
            and (not asked.categories or facts.category in asked.categories)
            and (not asked.created_before_s or facts.created_s < asked.created_before_s)
            and (not asked.tags or not set(asked.tags).isdisjoint(facts.tags))
            and self._of_model(facts.model)
            and self._of_subject(facts.whose)
            and (self.search is None or bool(self.search(facts.prompt)))
        )
        return self._alike(facts) if plain and asked.like else plain

    def _of_model(self, model: str | None) -> bool:
        wanted = self.selector.models
        return not wanted or model is None or any(fnmatchcase(model, name) for name in wanted)

    def _of_subject(self, whose: bytes | None) -> bool:
        return not self.whose or whose is None or any(_is(whose, one) for one in self.whose)

    def _alike(self, facts: Facts) -> bool | None:
        if not facts.comparable:
            return False
        if self.vector is None or facts.vector is None:
            return None
        return float(np.dot(self.vector, facts.vector)) >= self.selector.at_least - ROUNDING


def condition(selector: Selector, vector: NDArray[np.float32] | None = None) -> Condition:
    """Make ``selector`` ready. Raises ``ValueError`` for a pattern that RE2 does not take."""
    return Condition(
        selector,
        frozenset(map(bytes.fromhex, selector.entries)),
        tuple(map(bytes.fromhex, selector.whose)),
        compile_pattern(selector.pattern).search if selector.pattern else None,
        vector,
    )


def _is(whose: bytes, wanted: bytes) -> bool:
    """Compare the parts: principal, user, namespace."""
    for start in range(0, SUBJECT_BYTES, PART_BYTES):
        part = wanted[start : start + PART_BYTES]
        if part not in {ANY, whose[start : start + PART_BYTES]}:
            return False
    return True
