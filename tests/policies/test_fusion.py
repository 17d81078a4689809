"""One probability from similarity and a scorer's log-odds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.fusion import Fusion
from kindcache.policies.judge import judge_scored
from kindcache.policies.shortlist import Ready
from kindcache.policies.verdict import Hit, Miss, Reason

from .facts import a_call, a_candidate, a_policy, short

FUSION = Fusion("some scorer", intercept=-10.0, logit=1.0, similarity=10.0)
figures = st.floats(allow_nan=False, allow_infinity=True)


@given(similarity=st.floats(-1, 1), one=figures, two=figures)
def test_better_evidence_never_lowers_the_probability(
    similarity: float, one: float, two: float
) -> None:
    low, high = sorted((one, two))
    worse, better = (FUSION.probability(similarity, logit) for logit in (low, high))
    assert 0.0 <= worse <= better <= 1.0


@pytest.mark.parametrize(("similarity", "logit"), [(math.nan, 0.0), (0.9, math.nan)])
def test_what_is_no_number_is_no_evidence(similarity: float, logit: float) -> None:
    assert FUSION.probability(similarity, logit) == 0.0


def test_even_odds() -> None:
    assert FUSION.probability(1.0, 0.0) == 0.5


def test_the_scorer_is_asked_about_what_is_above_the_floor_and_unopposed() -> None:
    far, opposed, near = a_candidate(0.5), a_candidate(0.7, "how not to reset it"), a_candidate(0.9)
    found = short(a_policy(), a_call(), [near, opposed, far], 0.6)
    assert [ready.candidate for ready in found.ready] == [near]
    assert found.miss.reason is Reason.GUARD


@pytest.mark.parametrize(
    ("probability", "served"), [(0.9, True), (0.899, False), (math.nan, False)]
)
def test_the_probability_meets_the_bar_or_it_is_a_miss(probability: float, served: bool) -> None:
    policy = a_policy(min_probability=0.9)
    (ready,) = short(policy, a_call(), [a_candidate(0.7)], 0.6).ready
    assert isinstance(ready, Ready)
    verdict = judge_scored(ready, probability, 0.9)
    assert isinstance(verdict, Hit) is served
    if isinstance(verdict, Miss):
        assert verdict.reason is Reason.UNSURE
    else:
        assert verdict.probability == probability
