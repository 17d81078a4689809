"""Rules that keep the answer and rules that change it do what they say."""

from __future__ import annotations

from random import Random

import pytest

from training import sameness, traps
from training.lexicon import lexicon

SEEDS = range(30)
ORDER = "How do I cancel my order?"


@pytest.mark.parametrize("seed", SEEDS)
def test_manners_leave_the_words(seed: int) -> None:
    text = sameness.courteous(ORDER, Random(seed))
    assert text is not None
    assert "how do i cancel my order" in text.lower()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_typing_error_spares_numbers_capitals_and_short_words(seed: int) -> None:
    text = sameness.mistyped("Send 1200 EUR to Alice before it closes again", Random(seed))
    assert text is not None
    words = text.split()
    assert words[:5] == ["Send", "1200", "EUR", "to", "Alice"]
    assert words[6] == "it"
    assert len(words) == 9


@pytest.mark.parametrize("seed", SEEDS)
def test_keywords_keep_what_carries_the_meaning(seed: int) -> None:
    text = sameness.keyworded("How can I export a report to Excel?", Random(seed))
    assert text == "export report to excel"


@pytest.mark.parametrize(
    "text", ["Why is it not working?", "fly from Rome to Paris", "is tea better than coffee"]
)
def test_keywords_are_not_made_where_order_or_a_negation_counts(text: str) -> None:
    assert sameness.keyworded(text, Random(0)) is None


def test_sides_without_a_direction_are_exchanged_and_others_are_not() -> None:
    turned = sameness.turned("What is the difference between TCP and UDP?", Random(0))
    assert turned == "What is the difference between UDP and TCP?"
    assert sameness.turned("flights from Paris to Rome", Random(0)) is None


def test_numbers_are_spelled_out_but_not_prices_and_versions() -> None:
    assert sameness.respelled_number("a plan for 3 people", Random(0)) == "a plan for three people"
    assert sameness.respelled_number("install Python 3.12", Random(0)) is None
    assert sameness.respelled_number("a fee of $5", Random(0)) is None


def test_a_restatement_names_its_rules_and_mostly_succeeds() -> None:
    names = {change.__name__ for change in sameness.CHANGES}
    found = [sameness.restate(ORDER, Random(seed)) for seed in range(100)]
    made = [restated for restated in found if restated is not None]
    assert len(made) > 70
    assert len({text for text, _ in made}) > 35
    assert {name for _, done in made for name in done.split("+")} <= names


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("flights from Paris to Rome", "flights from Rome to Paris"),
        ("convert euros to dollars", "convert dollars to euros"),
    ],
)
def test_a_direction_is_turned(text: str, wanted: str) -> None:
    found = {traps.redirected(text, Random(seed)) for seed in SEEDS}
    assert wanted in found
    assert text not in found


@pytest.mark.parametrize("text", ["difference between a and b", "compare euros to dollars", "hi"])
def test_what_has_no_direction_is_not_turned(text: str) -> None:
    assert traps.redirected(text, Random(0)) is None


def test_a_number_becomes_another_number() -> None:
    found = {traps.renumbered("transfer 1250 EUR", Random(seed)) for seed in SEEDS}
    made = [text.split() for text in found if text is not None]
    assert len(made) > 5
    for first, number, last in made:
        assert (first, last) == ("transfer", "EUR")
        assert number.isdigit()
        assert int(number) != 1250


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Why can't I log in?", "Why can I log in?"),
        ("Is it safe?", "Is it not safe?"),
        ("Why is it slow?", "Why isn't it slow?"),
        ("coffee without sugar", "coffee with sugar"),
    ],
)
def test_a_negation_comes_or_goes(text: str, wanted: str) -> None:
    assert traps.negated(text, Random(0)) == wanted


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restriction_is_added_once(seed: int) -> None:
    text = traps.restricted(ORDER, Random(seed))
    assert text is not None
    assert text.startswith("How do I cancel my order")
    assert len(text) > len(ORDER)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_altered_text_is_another_one_and_names_its_rule(seed: int) -> None:
    text = "Can I fly from Paris to Rome for under 100 EUR?"
    found = traps.alter(text, Random(seed))
    assert found is not None
    assert found[0].lower() != text.lower()
    assert found[1] in {change.__name__ for change in traps.CHANGES}


def test_the_same_seed_gives_the_same_changes() -> None:
    for rules in (sameness.restate, traps.alter):
        first = [rules(ORDER, Random(seed)) for seed in SEEDS]
        assert first == [rules(ORDER, Random(seed)) for seed in SEEDS]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hum_is_added_and_no_word_is_lost(seed: int) -> None:
    text = "Which form do you need for a refund?"
    hummed = sameness.hummed(text, Random(seed))
    assert hummed is not None
    added = list(hummed.split())
    for word in text.split():
        added.remove(word)
    assert sorted(added) in [sorted(hum.split()) for hum in lexicon().lists["hums"]]


def test_a_frame_gives_way_to_one_of_the_same_force() -> None:
    found = {sameness.obliged("Do I have to pay a fee?", Random(seed)) for seed in range(60)}
    assert "Must I pay a fee?" in found
    assert not any("can I" in text.lower() for text in found if text)
