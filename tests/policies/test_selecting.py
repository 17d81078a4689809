"""Selectors: which entries they name, and what they say of entries that tell less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kindcache.policies.selecting import ANY, Facts, Selector, condition

KEY = bytes(range(16))
WHOSE = b"p" * 16 + b"u" * 16 + b"n" * 16
NEAR = np.array([1.0, 0.0], dtype=np.float32)
FACTS = Facts(
    key=KEY,
    category="code",
    prompt="How do I sort a list?",
    created_s=100.0,
    whose=WHOSE,
    model="gpt-4o",
    tags=("docs", "v2"),
    vector=np.array([0.9, np.sqrt(1 - 0.81)], dtype=np.float32),
)


def principal(part: bytes = b"p", user: bytes = ANY, namespace: bytes = ANY) -> str:
    return (part * 16 + user + namespace).hex()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, True),
        ({"entries": (KEY.hex(),)}, True),
        ({"entries": ("ff" * 16,)}, False),
        ({"categories": ("news", "code")}, True),
        ({"categories": ("news",)}, False),
        ({"models": ("gpt-*",)}, True),
        ({"models": ("gpt",)}, False),
        ({"tags": ("v1", "v2")}, True),
        ({"tags": ("v1",)}, False),
        ({"pattern": "(?i)SORT"}, True),
        ({"pattern": "^sort"}, False),
        ({"like": "x", "at_least": 0.9}, True),
        ({"like": "x", "at_least": 0.95}, False),
        ({"created_before_s": 100.5}, True),
        ({"created_before_s": 100.0}, False),
        ({"whose": (principal(),)}, True),
        ({"whose": (principal(user=b"u" * 16),)}, True),
        ({"whose": (principal(user=b"v" * 16),)}, False),
        ({"whose": (principal(namespace=b"n" * 16),)}, True),
        ({"whose": (principal(namespace=b"m" * 16),)}, False),
        ({"whose": (principal(b"q"),)}, False),
        ({"whose": (principal(b"q"), principal())}, True),
        ({"categories": ("code",), "tags": ("docs",), "pattern": "list"}, True),
        ({"categories": ("code",), "tags": ("other",), "pattern": "list"}, False),
        ({"categories": ("code",), "like": "x", "at_least": 0.95}, False),
    ],
)
def test_all_conditions_must_hold_and_of_several_values_one(
    fields: dict[str, Any], named: bool
) -> None:
    assert condition(Selector(**fields), NEAR).holds(FACTS) is named


@pytest.mark.parametrize("fields", [{"whose": (principal(b"q"),)}, {"models": ("other",)}])
def test_an_entry_that_does_not_tell_is_named_in_doubt(fields: dict[str, Any]) -> None:
    untold = replace(FACTS, whose=None, model=None)
    assert condition(Selector(**fields)).holds(untold) is True
    assert condition(Selector(**fields)).holds(FACTS) is False


def test_only_vectors_tell_what_is_alike() -> None:
    alike = Selector(like="x", at_least=0.9, categories=("code",))
    assert condition(alike, NEAR).holds(replace(FACTS, vector=None)) is None
    assert condition(alike).holds(FACTS) is None
    assert condition(alike).holds(replace(FACTS, category="news")) is False
    longer = replace(FACTS, vector=None, comparable=False)
    assert condition(alike, NEAR).holds(longer) is False


def test_a_vector_that_was_rounded_is_still_alike() -> None:
    alike = condition(Selector(like="x", at_least=0.9), NEAR)
    assert alike.holds(replace(FACTS, vector=np.array([0.8996, 0.4367], np.float32))) is True
