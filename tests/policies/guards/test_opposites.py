"""Direct opposites, by list and by prefix."""

from __future__ import annotations

import pytest

from kindcache.policies.guards.opposites import opposed
from kindcache.policies.guards.prefixes import negated_words
from kindcache.policies.guards.signature import signature


def differ(one: str, other: str) -> bool:
    mine, stored = signature(one), signature(other)
    sets = frozenset(mine.words.split()), frozenset(stored.words.split())
    return opposed(mine.sides, stored.sides) or negated_words(*sets)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("enable the alarm", "disable the alarm"),
        ("how to increase it", "ways of reducing it"),
        ("adding a user", "deleted a user"),
        ("buy shares", "sell shares"),
        ("stopped it", "started it"),
        ("before the meal", "after the meal"),
        ("the oldest file", "the newest file"),
        ("max value", "minimum value"),
        ("import data", "export data"),
        ("turn on the light", "turn the light off"),
        ("how to log in", "how to log out"),
        ("signing in", "signing out"),
        ("subscribe me", "unsubscribe me"),
        ("install it", "uninstalling it"),
        ("a legal act", "an illegal act"),
        ("connect it", "disconnected it"),
    ],
)
def test_opposites(one: str, other: str) -> None:
    assert differ(one, other)
    assert differ(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("enable the alarm", "enabling the alarm"),
        ("enable it", "start it"),
        ("start and stop it", "stop it"),
        ("turn off the light on the desk", "turn off the light"),
        ("the form", "my information"),
        ("like it", "likes it"),
        ("they are able to", "they are unable to"),  # negation's work
        ("use it", "use it"),
        ("", "enable"),
    ],
)
def test_no_opposites(one: str, other: str) -> None:
    assert not differ(one, other)
    assert not differ(other, one)
