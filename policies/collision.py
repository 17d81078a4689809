"""Tells prompts that look made to stand near a stored one, so as to answer for it.

The sign is deletion gain: without one part of the prompt, the rest is much nearer to a stored
prompt than the whole is. Then that prompt, or its meaning, is in there, and the part left out is an
addition that no asker of the plain question would have made. An honest prompt with a preface shows
it too, so the bar lies where ordinary traffic hardly ever comes, and lower where the addition tells
the model what to say. Who shows it keeps the answer to his own prompt; nobody loses one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .guards.reading import words
from .steering import directs

PARTS = 3  # most parts of a prompt that are embedded
NEAR = 0.55  # cosine; what is farther from every stored prompt is proposed to hardly anybody
LONGEST = 16_384  # characters
LONGEST_SENTENCE = 120  # words; comparing two is quadratic, 1 ms at this length

_SEAM = re.compile(r"(?<=[.!?;:])\s+|\n|\s[-–—]\s")
_WORD = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"[(\"']*(?:[^\W\d_]+(?:['’-][^\W\d_]+)*|[#$€£]?[\d.,:/%-]+)[)\"',.;:!?…]*")


@dataclass(frozen=True, slots=True)
class Bar:
    """What a part must reach against a stored prompt. Cosine similarities."""

    similarity: float
    gain: float  # over the whole prompt's similarity to the same stored prompt


# Measured over 36,697 training texts and queries: kept apart at most 0.5 % of any source.
ANY_SENTENCE = Bar(similarity=0.9, gain=0.15)
BESIDE_A_DIRECTION = Bar(similarity=0.85, gain=0.07)  # the rest tells the model what to say
NOISE = 3  # tokens that are no words, where no stored prompt near has any
NOISE_SHARE = 0.15  # of the tokens


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a prompt, and what is left of the prompt without it."""

    text: str
    rest: str


def parts(prompt: str, stored: Sequence[str]) -> tuple[Part, ...]:
    """Return at most ``PARTS`` parts of ``prompt`` that might be one of ``stored`` in disguise.

    Its sentences, those first that share most words with a stored prompt; of a single sentence,
    the stretch of words that the nearest has too. None of a prompt that cannot be cut.
    """
    if len(prompt) > LONGEST:
        return ()
    cut = [piece for piece in _SEAM.split(prompt) if _WORD.search(piece)]
    if len(cut) < 2:
        return tuple(filter(None, (_stretch(prompt, other) for other in stored[:1])))
    vocabularies = [frozenset(words(other.casefold())) for other in stored]

    def shared(at: int) -> float:
        mine = frozenset(words(cut[at].casefold()))
        return max((len(mine & other) / len(mine | other) for other in vocabularies), default=0.0)

    best = sorted(range(len(cut)), key=shared, reverse=True)[:PARTS]
    return tuple(
        Part(cut[at], "\n".join(piece for n, piece in enumerate(cut) if n != at)) for at in best
    )


def collides(part: Part, whole: Mapping[bytes, float], alone: Mapping[bytes, float]) -> bool:
    """Say whether ``part`` is much nearer to a stored prompt than the whole prompt is.

    ``whole`` and ``alone``: the similarity of each to stored prompts, by key.
    """
    bar = BESIDE_A_DIRECTION if directs(part.rest) else ANY_SENTENCE
    return any(
        alone.get(key, -1.0) >= bar.similarity and alone[key] - similarity >= bar.gain
        for key, similarity in whole.items()
        if similarity >= NEAR
    )


def is_noise(prompt: str, stored: Sequence[str]) -> bool:
    """Say whether ``prompt`` holds strings of signs such as a search for a vector ends in.

    Code holds them too; then the prompts near it mostly do as well.
    """
    tokens = prompt[:LONGEST].split()
    odd = _odd(tokens)
    return (
        odd >= NOISE
        and odd >= NOISE_SHARE * len(tokens)
        and not any(_odd(other[:LONGEST].split()) for other in stored)
    )


def _odd(tokens: Sequence[str]) -> int:
    """Count the tokens that are neither words nor numbers, with or without punctuation."""
    return sum(_PLAIN.fullmatch(token) is None for token in tokens)


def _stretch(prompt: str, stored: str) -> Part | None:
    """Return the part of ``prompt`` that repeats nearly all of ``stored`` word by word.

    Honest prompts do that all the time, so only where the rest tells the model what to say.
    """
    found = list(_WORD.finditer(prompt))
    mine = [match.group().casefold() for match in found]
    other = words(stored.casefold())
    if max(len(mine), len(other)) > LONGEST_SENTENCE:
        return None
    start, size = _longest_run(mine, other)
    if size < 3 or size < 0.8 * len(other) or size == len(mine):
        return None
    first, last = found[start].start(), found[start + size - 1].end()
    rest = f"{prompt[:first]}\n{prompt[last:]}"
    return Part(prompt[first:last], rest) if directs(rest) else None


def _longest_run(mine: Sequence[str], other: Sequence[str]) -> tuple[int, int]:
    """Return start in ``mine`` and length of the longest run of words that both have."""
    best, lengths = (0, 0), [0] * (len(other) + 1)
    for at, word in enumerate(mine):
        before = 0
        for n, theirs in enumerate(other, start=1):
            kept, lengths[n] = lengths[n], before + 1 if word == theirs else 0
            before = kept
            if lengths[n] > best[1]:
                best = (at - lengths[n] + 1, lengths[n])
    return best
