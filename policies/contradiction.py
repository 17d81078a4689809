"""Whether two answers to one question contradict each other in what similarity cannot see.

Answers are longer than questions, and nobody words one twice alike. So a figure, a name or a
literal that only one of them mentions is a detail; where each has one that the other lacks, they
say different things. Negation and opposites are read in short answers only: a long one holds both
sides of many pairs. Errs towards "they contradict": that costs hits, the
other error costs answers.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from .guards.names import lacking
from .guards.opposites import opposed
from .guards.prefixes import negated_words
from .guards.signature import LONGEST, Signature, signature

SHORT = 20  # words: a sentence, or two short ones
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_STEP = re.compile(r"^[ \t]*\(?\d{1,2}[.):][ \t]", re.MULTILINE)  # "2. Open the settings"
_OPENINGS = {"yes": True, "yeah": True, "yep": True, "no": False, "nope": False}


def contradict(stored: str, fresh: str) -> bool:
    """Say whether two answers contradict each other. Symmetric; time is linear in their length.

    Examples in code blocks and the numbers of list items are not compared.
    """
    if max(len(stored), len(fresh)) > LONGEST:
        return stored != fresh  # too long to be read
    mine, other = _read(fresh), _read(stored)
    if _each_has_its_own(mine.numbers, other.numbers) or _each_has_its_own(mine.dates, other.dates):
        return True
    my_words, other_words = mine.words.split(), other.words.split()
    if {_opening(my_words), _opening(other_words)} == {True, False}:
        return True
    if max(len(my_words), len(other_words)) > SHORT:
        return False
    return (
        mine.negations != other.negations
        or opposed(mine.sides, other.sides)
        or negated_words(frozenset(my_words), frozenset(other_words))
        or (lacking(mine.names, other_words) and lacking(other.names, my_words))
        or _each_has_its_own(mine.identifiers, other.identifiers)
    )


def _read(answer: str) -> Signature:
    answer = _CODE.sub(" ", answer)
    if len(_STEP.findall(answer)) > 1:
        answer = _STEP.sub("", answer)
    return signature(answer)


def _each_has_its_own(mine: Collection[str], other: Collection[str]) -> bool:
    mine_only, other_only = set(mine) - set(other), set(other) - set(mine)
    return bool(mine_only) and bool(other_only)


def _opening(in_order: list[str]) -> bool | None:
    """Return what a yes or no at the very beginning says, None where there is none."""
    return _OPENINGS.get(in_order[0]) if in_order else None
