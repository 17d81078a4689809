"""Families of hand-written questions: reading them, their slots, filling those."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from training.groups import (
    SLOT,
    Family,
    Values,
    choose,
    fill,
    other_value,
    read_families,
    read_values,
    unknown_slots,
)

TRAINING = Path(__file__).resolve().parents[2] / "training"
TEXT = """\
# a remark
How do I cancel {order}? | cancel  {order}
How do I change {order}? | | change {order}

What is {city} to {city2} by {vehicle}?

# only a remark
"""
VALUES: Values = {
    "order": [("my order",), ("my booking", "my reservation")],
    "city": [("Paris",), ("Rome",)],
}


@pytest.fixture
def families(tmp_path: Path) -> list[Family]:
    (tmp_path / "some.txt").write_text(TEXT, encoding="utf-8")
    return read_families(tmp_path)


def test_an_empty_line_parts_families_and_a_bar_wordings(families: list[Family]) -> None:
    first, second = families
    assert [group.variants for group in first.groups] == [
        ("How do I cancel {order}?", "cancel {order}"),
        ("How do I change {order}?", "change {order}"),
    ]
    assert first.source == "some"
    assert first.name == "How do I cancel {order}?"
    assert second.groups[0].slots == ("city", "city2", "vehicle")


def test_a_slot_without_values_is_named_with_its_file(families: list[Family]) -> None:
    assert unknown_slots(families, VALUES) == {"vehicle": {"some"}}
    assert unknown_slots(families[:1], VALUES) == {}


def test_values_have_spellings(tmp_path: Path) -> None:
    path = tmp_path / "slots.yaml"
    path.write_text("country: [Norway, USA | the US]\nyear: [2020, no]\n", encoding="utf-8")
    assert read_values(path) == {
        "country": [("Norway",), ("USA", "the US")],
        "year": [("2020",), ("no",)],
    }


@pytest.mark.parametrize("seed", range(20))
def test_two_slots_of_one_list_never_share_a_value(seed: int) -> None:
    chosen = choose(("city", "city2"), VALUES, Random(seed))
    assert {chosen["city"][0], chosen["city2"][0]} == {"Paris", "Rome"}


@pytest.mark.parametrize("seed", range(20))
def test_another_value_is_another_one(seed: int) -> None:
    random = Random(seed)
    chosen = choose(("order",), VALUES, random)
    assert other_value("order", chosen, VALUES, random)["order"] != chosen["order"]


@pytest.mark.parametrize(
    ("variant", "value", "text"),
    [
        ("cancel {order}", "my order", "cancel my order"),
        ("{order} is late", "my order", "my order is late"),
        ("What is a {order}?", "invoice", "What is an invoice?"),
        ("What is a {order}?", "refund", "What is a refund?"),
    ],
)
def test_filling(variant: str, value: str, text: str) -> None:
    assert fill(variant, {"order": (value,)}, Random(0)) == text


def test_every_slot_of_the_written_families_has_values() -> None:
    families = read_families(TRAINING / "groups")
    values = read_values(TRAINING / "slots.yaml")
    assert unknown_slots(families, values) == {}
    random = Random(0)
    for family in families:
        for group in family.groups:
            chosen = choose(group.slots, values, random)
            assert not any(SLOT.search(fill(v, chosen, random)) for v in group.variants)


def test_no_wording_stands_in_two_groups_of_a_family() -> None:
    twice = [
        (family.name, variant)
        for family in read_families(TRAINING / "groups")
        for n, group in enumerate(family.groups)
        for variant in group.variants
        if any(variant in other.variants for other in family.groups[n + 1 :])
    ]
    assert twice == []
