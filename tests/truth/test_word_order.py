"""The word-order pairs are what they say: the same words, moved."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from kindcache.adapters.evaluation.data import Pair, load_pairs

PAIRS = load_pairs(Path(__file__).with_name("word_order.jsonl"))
LEAST = 0.4  # "Who succeeded her?", "Whom did she succeed?"


def shared(pair: Pair) -> float:
    """The share of words that the two have in common, repeated ones as often as they stand."""
    mine, other = (Counter(re.findall(r"\w+", text.casefold())) for text in (pair.q1, pair.q2))
    return (mine & other).total() / max(mine.total(), other.total())


def test_no_pair_stands_twice_or_is_one_prompt_twice() -> None:
    assert len({pair.id for pair in PAIRS}) == len(PAIRS)
    assert len({frozenset((pair.q1, pair.q2)) for pair in PAIRS}) == len(PAIRS)
    assert all(pair.q1 != pair.q2 for pair in PAIRS)


def test_both_labels_are_there_in_the_numbers_reported() -> None:
    assert Counter(pair.label for pair in PAIRS) == {0: 400, 1: 100}
    assert all((pair.kind == "same") == bool(pair.label) for pair in PAIRS)


def test_the_words_are_nearly_the_same() -> None:
    assert [pair.id for pair in PAIRS if shared(pair) < LEAST] == []
    assert sum(shared(pair) for pair in PAIRS) / len(PAIRS) > 0.9
