"""What the guards compare: one small signature per prompt, computed once when it is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .dates import dates
from .direction import roles
from .identifiers import identifiers
from .names import names
from .negation import negations
from .numbers import numbers
from .opposites import sides
from .quotes import quotes
from .reading import normal, words

# Characters, about 4,000 tokens: reading takes milliseconds on the event loop.
LONGEST = 16_384


@dataclass(frozen=True, slots=True)
class Signature:
    """The parts of a prompt that must agree for two prompts to share an answer.

    Every tuple is sorted; most are empty in most prompts.
    """

    words: str  # case-folded, in order, a space between them
    numbers: tuple[str, ...]
    dates: tuple[str, ...]
    negations: int
    quotes: tuple[str, ...]
    identifiers: tuple[str, ...]
    names: tuple[str, ...]
    sides: tuple[int, ...]
    roles: tuple[str, ...]
    unread: str = ""  # the digest of a text too long to read; everything else is then empty


def signature(text: str) -> Signature:
    """Return the signature of ``text``. Never raises; time is linear in the length.

    Of a text over ``LONGEST`` it is a digest: such a text agrees with itself alone.
    """
    if len(text) > LONGEST:
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        return Signature("", (), (), 0, (), (), (), (), (), unread=digest)
    text = normal(text)
    folded = text.casefold()
    in_order = words(folded)
    vocabulary = frozenset(in_order)
    return Signature(
        words=" ".join(in_order),
        numbers=numbers(folded, vocabulary),
        dates=dates(in_order),
        negations=negations(folded),
        quotes=quotes(text),
        identifiers=identifiers(text),
        names=names(text, vocabulary),
        sides=sides(folded, vocabulary),
        roles=roles(in_order),
    )
