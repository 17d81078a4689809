"""What a call may do before its category is known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.eligibility import Access, access
from kindcache.policies.facts import Directives
from kindcache.policies.verdict import Bypass, Reason

from .facts import a_call, directives


@pytest.mark.parametrize(
    ("asked", "read", "write"),
    [
        ({}, True, True),
        ({"no_cache": True}, False, True),
        ({"no_store": True}, True, False),
        ({"only_if_cached": True}, True, True),
        ({"ttl_s": 5.0, "max_age_s": 5.0}, True, True),
    ],
)
def test_directives(asked: dict[str, Any], read: bool, write: bool) -> None:
    assert access(a_call(directives=Directives(**asked))) == Access(read, write)


@pytest.mark.parametrize("asked", [{"bypass": True}, {"no_cache": True, "no_store": True}])
def test_clients_may_leave_the_cache_out(asked: dict[str, Any]) -> None:
    assert access(a_call(directives=Directives(**asked))) == Bypass(Reason.CLIENT)


@pytest.mark.parametrize("asked", [{}, {"no_store": True}, {"no_cache": True}])
@pytest.mark.parametrize(
    "shape", [{"has_tools": True}, {"choices": 2}, {"ends_with_user_text": False}]
)
def test_these_are_never_matched_by_meaning(shape: dict[str, Any], asked: dict[str, Any]) -> None:
    found = access(a_call(directives=Directives(**asked), **shape))
    assert isinstance(found, Access)
    assert not found.semantic
    assert found.exact_because is Reason.EXACT_ONLY


@given(directives, st.booleans(), st.integers(1, 3))
def test_directives_only_take_away(asked: Directives, tools: bool, choices: int) -> None:
    free = access(a_call(has_tools=tools, choices=choices))
    bound = access(a_call(has_tools=tools, choices=choices, directives=asked))
    assert isinstance(free, Access)
    if isinstance(bound, Access):
        assert free.read >= bound.read
        assert free.write >= bound.write
        assert free.semantic >= bound.semantic
