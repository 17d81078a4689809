"""Exact bounds against what can be counted out, and against published figures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.binomial import at_most, lower, upper


def counted(wrong: int, trials: int, rate: float) -> float:
    terms = (
        math.comb(trials, k) * rate**k * (1.0 - rate) ** (trials - k) for k in range(wrong + 1)
    )
    return math.fsum(terms)


@given(trials=st.integers(1, 200), rate=st.floats(0.001, 0.999), data=st.data())
def test_the_tail_is_the_sum_of_its_terms(trials: int, rate: float, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, trials))
    assert at_most(wrong, trials, rate) == pytest.approx(counted(wrong, trials, rate), abs=1e-9)


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_certain_rate_leaves_no_doubt(rate: float, expected: float) -> None:
    assert at_most(3, 10, rate) == expected


# R: binom.test(x, n, alternative = "less", conf.level = 0.95)$conf.int[2]
@pytest.mark.parametrize(
    ("wrong", "trials", "bound"),
    [(0, 299, 0.0099691), (3, 773, 0.0099998), (0, 1, 0.95), (10, 2000, 0.0084664)],
)
def test_the_upper_bound(wrong: int, trials: int, bound: float) -> None:
    assert upper(wrong, trials) == pytest.approx(bound, rel=1e-4)


@pytest.mark.parametrize(("wrong", "trials"), [(0, 0), (5, 5)])
def test_with_nothing_right_everything_is_possible(wrong: int, trials: int) -> None:
    assert upper(wrong, trials) == 1.0


def test_the_lower_bound_mirrors_the_upper_one() -> None:
    assert lower(0, 0) == 0.0
    assert lower(0, 50) == 0.0
    assert lower(50, 50) == pytest.approx(0.05 ** (1 / 50))
    assert lower(7, 50) == pytest.approx(1.0 - upper(43, 50))


@given(trials=st.integers(1, 100_000), data=st.data())
def test_the_bound_is_where_so_few_become_improbable(trials: int, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, trials - 1))
    assert at_most(wrong, trials, upper(wrong, trials)) == pytest.approx(0.05, rel=1e-2)
