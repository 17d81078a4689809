"""Gives the word lists of ``lexicon.yaml`` and replaces words as texts spell them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import yaml

PATH = Path(__file__).with_name("lexicon.yaml")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The lists, by name."""

    lists: dict[str, list[str]]
    sets: dict[str, list[list[str]]]


@cache
def lexicon() -> Lexicon:
    """Read the lists once."""
    raw: dict[str, list[str | list[str]]] = yaml.load(
        PATH.read_text(),
        Loader=yaml.BaseLoader,  # noqa: S506 - builds strings only
    )
    lists = {k: [x for x in v if isinstance(x, str)] for k, v in raw.items()}
    sets = {k: [x for x in v if isinstance(x, list)] for k, v in raw.items()}
    return Lexicon(lists, sets)


@cache
def finder(name: str) -> re.Pattern[str]:
    """Return a pattern that finds any word of the sets called ``name``, the longest first."""
    words = {w for group in lexicon().sets[name] for w in group}
    body = "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:{body})(?![\w-])", re.IGNORECASE)


def swap_in(text: str, name: str, random: Random) -> str | None:
    """Replace one word of ``text`` by another of its set ``name``; None if it has none."""
    found = list(finder(name).finditer(text))
    if not found:
        return None
    match = random.choice(found)
    word = match[0].lower()
    others = [
        other
        for group in lexicon().sets[name]
        if word in (w.lower() for w in group)
        for other in group
        if other.lower() != word
    ]
    return splice(text, match, random.choice(others)) if others else None


def splice(text: str, match: re.Match[str], word: str) -> str:
    """Put ``word`` in the place of ``match``, with a capital where there was one."""
    if match[0][0].isupper() and match.start() == 0:
        word = word[:1].upper() + word[1:]
    elif match.start() > 0 and not match[0][0].isupper() and word.split(" ")[0].istitle():
        word = word[:1].lower() + word[1:] if word.lower() in _plain_words() else word
    return text[: match.start()] + word + text[match.end() :]


@cache
def _plain_words() -> frozenset[str]:
    return frozenset(w.lower() for group in lexicon().sets["synonyms"] for w in group)
