"""How old an answer may be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.facts import NO_DIRECTIVES, Directives
from kindcache.policies.freshness import Fresh, freshness, lifetime_s
from kindcache.policies.verdict import Reason

from .facts import NOW_S, bounds, directives, seconds


def judged(
    age_s: float, asked: Directives = NO_DIRECTIVES, *, stored_ttl_s: float | None = None
) -> Fresh | Reason:
    return freshness(NOW_S - age_s, NOW_S, 100.0, stored_ttl_s, asked)


@pytest.mark.parametrize(
    ("age_s", "stored_ttl_s", "asked", "outcome"),
    [
        (0, None, Directives(), Fresh(0, 100)),
        (40, None, Directives(), Fresh(40, 60)),
        (100, None, Directives(), Reason.EXPIRED),
        (-50, None, Directives(), Fresh(0, 100)),  # the clock went back
        (40, 50, Directives(), Fresh(40, 10)),
        (50, 50, Directives(), Reason.EXPIRED),
        (40, 500, Directives(), Fresh(40, 60)),
        (40, None, Directives(max_age_s=40), Fresh(40, 60)),
        (40, None, Directives(max_age_s=39), Reason.CLIENT_FRESHNESS),
        (0, None, Directives(max_age_s=0), Fresh(0, 100)),
        (40, None, Directives(min_fresh_s=60), Fresh(40, 60)),
        (40, None, Directives(min_fresh_s=61), Reason.CLIENT_FRESHNESS),
        # A bound on the new answer's life and leave to be stale change nothing here:
        (40, None, Directives(ttl_s=1), Fresh(40, 60)),
        (100, None, Directives(max_stale_s=1000), Reason.EXPIRED),
    ],
)
def test_freshness(
    age_s: float, stored_ttl_s: float | None, asked: Directives, outcome: Fresh | Reason
) -> None:
    assert judged(age_s, asked, stored_ttl_s=stored_ttl_s) == outcome


@pytest.mark.parametrize("created_s", [math.nan, math.inf, -math.inf])
def test_a_creation_time_that_is_no_number_is_expired(created_s: float) -> None:
    assert freshness(created_s, NOW_S, 100.0, None, NO_DIRECTIVES) is Reason.EXPIRED


@given(seconds, st.lists(bounds, max_size=3))
def test_a_life_is_never_longer_than_any_bound(policy_ttl_s: float, others: list[float]) -> None:
    life_s = lifetime_s(policy_ttl_s, *others)
    assert all(life_s <= bound for bound in (policy_ttl_s, *others) if bound is not None)


@given(st.floats(-200, 400), seconds, bounds, directives)
def test_no_answer_is_served_past_any_bound(
    age_s: float, ttl_s: float, stored_ttl_s: float | None, asked: Directives
) -> None:
    created_s = NOW_S - age_s
    found = freshness(created_s, NOW_S, ttl_s, stored_ttl_s, asked)
    if isinstance(found, Fresh):
        assert found.left_s > 0
        assert found.age_s + found.left_s <= lifetime_s(ttl_s, stored_ttl_s) + 1e-6
        assert found.age_s <= (math.inf if asked.max_age_s is None else asked.max_age_s)
        assert found.left_s >= (asked.min_fresh_s or 0)


@given(st.floats(-200, 400), seconds, bounds, directives)
def test_a_client_can_only_refuse(
    age_s: float, ttl_s: float, stored_ttl_s: float | None, asked: Directives
) -> None:
    created_s = NOW_S - age_s
    free = freshness(created_s, NOW_S, ttl_s, stored_ttl_s, NO_DIRECTIVES)
    bound = freshness(created_s, NOW_S, ttl_s, stored_ttl_s, asked)
    assert bound in (free, Reason.CLIENT_FRESHNESS)
    assert isinstance(free, Fresh) or bound is free


@given(seconds, seconds, seconds)
def test_what_has_expired_stays_expired(age_s: float, later_s: float, ttl_s: float) -> None:
    created_s = NOW_S - age_s
    now = freshness(created_s, NOW_S, ttl_s, None, NO_DIRECTIVES)
    then = freshness(created_s, NOW_S + later_s, ttl_s, None, NO_DIRECTIVES)
    assert isinstance(now, Fresh) or not isinstance(then, Fresh)
