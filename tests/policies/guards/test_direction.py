"""Direction: what changes when two things change places."""

from __future__ import annotations

import pytest

from kindcache.policies.guards.direction import exchanged, reversed_roles
from kindcache.policies.guards.signature import signature


def differ(one: str, other: str) -> bool:
    mine, stored = signature(one), signature(other)
    return reversed_roles(mine.roles, stored.roles) or exchanged(
        mine.words.split(), stored.words.split()
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("from English to French", "from French to English"),
        ("translate English text to French", "please translate French to English"),
        ("convert miles into km", "turn km into miles"),
        ("move it to Rome from Oslo", "how can I move it to Oslo from Rome"),
        ("subtract 3 from 5", "subtract 5 from 3"),
        ("is tea better than coffee", "tell me if coffee is better than tea"),
        ("is Ann loved by Bob", "really, is Bob loved by Ann"),
        ("does Ann like Bob", "does Bob like Ann"),
        ("did New York beat Boston", "did Boston beat New York"),
    ],
)
def test_changed_places(one: str, other: str) -> None:
    assert differ(one, other)
    assert differ(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("from English to French", "to French from English"),
        ("convert miles to km", "how do I convert miles into km"),
        ("compare tea and coffee", "compare coffee and tea"),
        ("tea or coffee", "coffee or tea"),
        ("tea vs coffee", "coffee vs tea"),
        ("the difference from tea to coffee", "the difference from coffee to tea"),
        ("list tea, coffee", "list coffee, tea"),
        ("in May what is due", "what is due in May"),
        ("how to reset the phone", "reset my phone, how to"),
        ("send money to Ann", "send money to Bob"),
        ("tea", "tea"),
        ("", ""),
    ],
)
def test_same_direction(one: str, other: str) -> None:
    assert not differ(one, other)
    assert not differ(other, one)
