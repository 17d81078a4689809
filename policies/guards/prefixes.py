"""Opposites by prefix: one prompt says "subscribe", the other "unsubscribe"."""

from __future__ import annotations

import re

_NEGATIVE = ("un", "dis", "de", "non", "in", "im", "il", "ir", "mis")
_NEGATORS = frozenset(("unable", "unless"))  # these are negation's
_STEM = 3  # letters that the two words must share
_ENDS = re.compile(r"(?:ing|ed|es|e|s|d)\Z")


def negated_words(mine: frozenset[str], stored: frozenset[str]) -> bool:
    """Say whether one prompt has a word where the other has that word with a negative prefix."""
    return _negates(mine - stored, stored - mine) or _negates(stored - mine, mine - stored)


def _negates(negative: frozenset[str], plain: frozenset[str]) -> bool:
    prefixed = [w for w in negative if w.startswith(_NEGATIVE) and w not in _NEGATORS]
    if not prefixed or not plain:
        return False
    stems = {_stem(word) for word in plain}
    return any(
        stem in stems
        for word in prefixed
        for prefix in _NEGATIVE
        if word.startswith(prefix) and len(stem := _stem(word.removeprefix(prefix))) >= _STEM
    )


def _stem(word: str) -> str:
    return _ENDS.sub("", word)
