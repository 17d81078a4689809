"""Small changes keep the answer, and keep to sentences that they fit."""

from __future__ import annotations

from random import Random

import pytest

from training import sameness
from training.light_changes import drawn_in, fronted, owned, reopened, unarticled


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "How long will a transfer take from Europe?",
            "How long will a transfer from Europe take?",
        ),
        ("When does the train leave from Paris?", "When does the train from Paris leave?"),
        ("Cancel it", None),
    ],
)
def test_a_phrase_is_drawn_to_its_thing(text: str, expected: str | None) -> None:
    assert drawn_in(text, Random(0)) == expected


def test_a_phrase_moves_to_the_front() -> None:
    found = {fronted("How do I sort a list in Python?", Random(seed)) for seed in range(20)}
    assert found == {"In Python, how do I sort a list?", "in Python, how do I sort a list?"}
    assert fronted("Help me", Random(0)) is None


def test_another_opening_is_one_of_the_same_kind() -> None:
    for seed in range(30):
        changed = reopened("How do I cancel my order?", Random(seed))
        assert changed is not None
        assert changed.lower().rstrip("?").endswith("cancel my order")
        assert "is it possible" not in changed.lower()
    assert reopened("Why is my card blocked?", Random(0)) is None
    assert reopened("Cancel it", Random(0)) is None


def test_whose_it_is_does_not_matter_to_how_it_is_done() -> None:
    found = {owned("How do I cancel my order?", Random(seed)) for seed in range(20)}
    assert found == {"How do I cancel the order?", "How do I cancel an order?"}
    assert owned("What is my balance?", Random(0)) is None


def test_an_article_is_left_out_and_no_word_is_cut() -> None:
    assert unarticled("Can I change the plan?", Random(0)) == "Can I change plan?"
    assert unarticled("Can I pay?", Random(0)) is None


def test_they_are_among_the_changes_by_rule() -> None:
    assert {reopened, owned, fronted, drawn_in, unarticled} <= {*sameness.CHANGES}
    assert len(sameness.CHANGES) == len(sameness.WEIGHTS)
