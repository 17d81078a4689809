"""What sampling settings allow in a category."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.eligibility import EXACT_ONLY, FULL, Access
from kindcache.policies.sampling import narrow, shares_in_flight
from kindcache.policies.verdict import Bypass, Reason

from .facts import a_call, a_policy

SAMPLED: list[dict[str, Any]] = [{"temperature": 1.5}, {"seeded": True}]
PLAIN: list[dict[str, Any]] = [{}, {"temperature": 0.0}, {"temperature": 1.0}]


@pytest.mark.parametrize("sampling", SAMPLED)
@pytest.mark.parametrize(
    ("sampled", "outcome"),
    [
        ("exact", EXACT_ONLY),
        ("semantic", FULL),
        ("bypass", Bypass(Reason.SAMPLING, "help")),
    ],
)
def test_a_sampled_call_is_treated_as_the_category_says(
    sampling: dict[str, Any],
    sampled: Literal["exact", "semantic", "bypass"],
    outcome: Access | Bypass,
) -> None:
    assert narrow(FULL, a_call(**sampling), a_policy(sampled=sampled)) == outcome


@pytest.mark.parametrize("sampling", PLAIN)
@pytest.mark.parametrize("sampled", ["exact", "semantic", "bypass"])
def test_other_calls_are_not_touched(
    sampling: dict[str, Any], sampled: Literal["exact", "semantic", "bypass"]
) -> None:
    assert narrow(FULL, a_call(**sampling), a_policy(sampled=sampled)) is FULL


def test_a_category_that_is_not_cached_takes_no_part() -> None:
    assert narrow(FULL, a_call(), a_policy(cache=False)) == Bypass(Reason.CATEGORY, "help")


def test_a_category_without_meaning_is_matched_to_the_letter() -> None:
    assert narrow(FULL, a_call(), a_policy(semantic=False)) == EXACT_ONLY
    assert narrow(EXACT_ONLY, a_call(), a_policy(semantic=False)) is EXACT_ONLY


def test_an_earlier_reason_is_kept() -> None:
    over = Access(read=True, write=True, exact_because=Reason.OVER_WINDOW)
    assert narrow(over, a_call(seeded=True), a_policy()) == over


@pytest.mark.parametrize(
    ("temperature", "share_sampled", "shares"),
    [
        (None, False, True),
        (0.0, False, True),
        (0.2, False, False),
        (0.2, True, True),
    ],
)
def test_shares_in_flight(temperature: float | None, share_sampled: bool, shares: bool) -> None:
    policy = a_policy(share_sampled=share_sampled)
    assert shares_in_flight(a_call(temperature=temperature), policy) is shares


@given(
    st.builds(Access, st.booleans(), st.booleans(), st.sampled_from([None, Reason.EXACT_ONLY])),
    st.sampled_from([*SAMPLED, *PLAIN]),
    st.booleans(),
    st.sampled_from(["exact", "semantic", "bypass"]),
)
def test_a_category_only_takes_away(
    given_access: Access, sampling: dict[str, Any], semantic: bool, sampled: Any
) -> None:
    policy = a_policy(semantic=semantic, sampled=sampled)
    found = narrow(given_access, a_call(**sampling), policy)
    if isinstance(found, Access):
        assert given_access.read >= found.read
        assert given_access.write >= found.write
        assert given_access.semantic >= found.semantic
