"""Which guard objects to a pair of prompts, if any does."""

from __future__ import annotations

from enum import StrEnum

from .signature import Signature


class Objection(StrEnum):
    """The guard that objects."""

    NUMBERS = "numbers"
    NEGATION = "negation"
    QUOTES = "quotes"
    IDENTIFIERS = "identifiers"
    NAMES = "names"


def objection(mine: Signature, stored: Signature) -> Objection | None:
    """Return the first guard that objects to answering ``mine`` from ``stored``. Symmetric."""
    if mine.numbers != stored.numbers:
        return Objection.NUMBERS
    if mine.negated != stored.negated:
        return Objection.NEGATION
    if mine.quotes != stored.quotes:
        return Objection.QUOTES
    if mine.identifiers != stored.identifiers:
        return Objection.IDENTIFIERS
    if stored.lacks(mine.names) or mine.lacks(stored.names):
        return Objection.NAMES
    return None
