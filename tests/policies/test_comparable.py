"""Which calls' answers may be compared."""

from __future__ import annotations

from typing import Any

import pytest

from kindcache.policies.comparable import comparable
from kindcache.policies.facts import Directives
from tests.policies.facts import a_call, a_policy


@pytest.mark.parametrize(
    "fields",
    [
        {"has_tools": True},
        {"choices": 2},
        {"ends_with_user_text": False},
        {"directives": Directives(no_store=True)},
        {"seeded": True},
        {"temperature": 1.5},
    ],
)
def test_what_chance_or_the_client_forbids_is_left_alone(fields: dict[str, Any]) -> None:
    assert not comparable(a_call(**fields), a_policy(sampled="semantic"))


@pytest.mark.parametrize("fields", [{}, {"temperature": 1.0}, {"temperature": 0.0}])
def test_plain_calls_may_be_compared(fields: dict[str, Any]) -> None:
    assert comparable(a_call(**fields), a_policy())
