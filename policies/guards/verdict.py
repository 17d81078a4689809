"""Which guard objects to a pair of prompts, if any does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from .direction import exchanged, reversed_roles
from .names import lacking
from .opposites import opposed
from .prefixes import negated_words
from .reading import words
from .signature import Signature


class Objection(StrEnum):
    """The guard that objects."""

    LENGTH = "length"  # too long to be read
    NUMBERS = "numbers"
    DATES = "dates"
    NEGATION = "negation"
    QUOTES = "quotes"
    IDENTIFIERS = "identifiers"
    NAMES = "names"
    OPPOSITES = "opposites"
    DIRECTION = "direction"


def objection(mine: Signature, stored: Signature) -> Objection | None:
    """Return the first guard that objects to answering ``mine`` from ``stored``. Symmetric."""
    return next(objections(mine, stored), None)


def objections(mine: Signature, stored: Signature) -> Iterator[Objection]:
    """Yield every guard that objects, the cheapest first."""
    if mine.unread != stored.unread:
        yield Objection.LENGTH
    if mine.numbers != stored.numbers:
        yield Objection.NUMBERS
    if mine.dates != stored.dates:
        yield Objection.DATES
    if mine.negations != stored.negations:
        yield Objection.NEGATION
    if opposed(mine.sides, stored.sides):
        yield Objection.OPPOSITES
    my_words, stored_words = mine.words.split(), stored.words.split()
    my_set, stored_set = frozenset(my_words), frozenset(stored_words)
    if _differ(mine.quotes, stored.quotes, my_set, stored_set):
        yield Objection.QUOTES
    if _differ(mine.identifiers, stored.identifiers, my_set, stored_set):
        yield Objection.IDENTIFIERS
    if lacking(mine.names, stored_words) or lacking(stored.names, my_words):
        yield Objection.NAMES
    if negated_words(my_set, stored_set):
        yield Objection.OPPOSITES
    if reversed_roles(mine.roles, stored.roles) or exchanged(my_words, stored_words):
        yield Objection.DIRECTION


def _differ(
    mine: Sequence[str],
    stored: Sequence[str],
    my_words: frozenset[str],
    stored_words: frozenset[str],
) -> bool:
    """Say whether the literals of two prompts differ.

    What one prompt alone marks as a literal may stand in the other as plain words.
    """
    if mine == stored:
        return False
    mine_only, stored_only = set(mine) - set(stored), set(stored) - set(mine)
    if mine_only and stored_only:
        return True
    return not (_spelled(mine_only, stored_words) and _spelled(stored_only, my_words))


def _spelled(literals: set[str], vocabulary: frozenset[str]) -> bool:
    if any(literal.endswith(("+", "#")) for literal in literals):
        return False  # "C++" is not "C"
    parts = [words(literal.casefold()) for literal in literals]
    return all(part and vocabulary.issuperset(part) for part in parts)
