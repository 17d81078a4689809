"""What the guards compare: one small signature per prompt, computed once when it is stored."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from .identifiers import apart, identifiers, names, units, words
from .negation import negated
from .numbers import numbers
from .quotes import quotes


@dataclass(frozen=True, slots=True)
class Signature:
    """The parts of a prompt that must be equal for two prompts to share an answer."""

    folded: str  # the whole text, case-folded, units parted from their numbers
    numbers: tuple[str, ...]
    negated: bool
    quotes: frozenset[str]
    identifiers: frozenset[str]
    names: frozenset[str]  # must be among the other's words, in any case

    def lacks(self, names: frozenset[str]) -> bool:
        """Say whether any of ``names`` is not a word of this prompt."""
        missing = names - self.names
        return bool(missing) and not missing <= words(self.folded)


def signature(text: str) -> Signature:
    """Return the signature of ``text``. Time is linear in its length."""
    text = unicodedata.normalize("NFKC", text).replace("\u2019", "'")
    plain = apart(text)
    folded = plain.casefold()
    return Signature(
        folded,
        numbers(folded),
        negated(folded),
        quotes(text),
        identifiers(plain),
        names(plain) | units(text),
    )
