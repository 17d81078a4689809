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


@pytest.mark.parametrize(
    ("age_s", "stored_ttl_s", "asked", "outcome"),
    [
        (99, None, Directives(), Fresh(99, 1)),
        (100, None, Directives(), Fresh(100, 0)),
        (149, None, Directives(), Fresh(149, -49)),
        (150, None, Directives(), Reason.EXPIRED),
        # the filling client's own bound ends it, stale or not
        (90, 80, Directives(), Reason.EXPIRED),
        (110, 120, Directives(), Fresh(110, -10)),
        (120, 120, Directives(), Reason.EXPIRED),
        # who says how stale it may be is taken at his word
        (110, None, Directives(max_stale_s=math.inf), Fresh(110, -10)),
        (110, None, Directives(max_stale_s=11), Fresh(110, -10)),
        (110, None, Directives(max_stale_s=10), Reason.CLIENT_FRESHNESS),
        (100, None, Directives(max_stale_s=0), Reason.CLIENT_FRESHNESS),
        (160, None, Directives(max_stale_s=math.inf), Reason.EXPIRED),
        # who bounds the age, or wants some life left, takes nothing stale
        (110, None, Directives(max_age_s=1000), Reason.CLIENT_FRESHNESS),
        (110, None, Directives(min_fresh_s=0), Reason.CLIENT_FRESHNESS),
        (110, None, Directives(max_age_s=110, max_stale_s=20), Fresh(110, -10)),
        (110, None, Directives(max_age_s=109, max_stale_s=20), Reason.CLIENT_FRESHNESS),
    ],
)
def test_a_stale_answer(
    age_s: float, stored_ttl_s: float | None, asked: Directives, outcome: Fresh | Reason
) -> None:
    assert freshness(NOW_S - age_s, NOW_S, 100.0, stored_ttl_s, asked, 50.0) == outcome


@given(st.floats(-200, 400), seconds, bounds, directives, seconds)
def test_a_stale_answer_is_served_within_its_window_alone(
    age_s: float, ttl_s: float, stored_ttl_s: float | None, asked: Directives, beyond_s: float
) -> None:
    created_s = NOW_S - age_s
    strict = freshness(created_s, NOW_S, ttl_s, stored_ttl_s, asked)
    found = freshness(created_s, NOW_S, ttl_s, stored_ttl_s, asked, beyond_s)
    if isinstance(strict, Fresh):
        assert found == strict
    elif isinstance(found, Fresh):
        assert found.left_s <= 0
        assert found.age_s < lifetime_s(ttl_s + beyond_s, stored_ttl_s)
        assert asked.max_age_s is None or asked.max_stale_s is not None


@pytest.mark.parametrize(("ahead_s", "usable"), [(60.0, True), (61.0, False), (1e9, False)])
def test_an_answer_from_the_future_has_an_unknown_age(ahead_s: float, usable: bool) -> None:
    assert isinstance(judged(-ahead_s), Fresh) is usable


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
