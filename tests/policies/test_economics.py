"""The break-even hit rate, and what may be said about a category that has one."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kindcache.policies.economics import Pays, Rate, break_even, is_plausible, passed_over, pays

TIMES = st.floats(1e-6, 3600.0)


def test_the_break_even_rate_is_the_lookup_over_what_a_hit_saves() -> None:
    assert break_even(0.030, 0.205, 0.005) == pytest.approx(0.15)
    assert break_even(0.030, 0.150) == pytest.approx(0.2)  # no hit yet: fetching is taken for 0


@given(lookup=TIMES, llm=TIMES, fetch=TIMES)
def test_at_the_break_even_rate_a_question_takes_as_long_as_without_the_cache(
    lookup: float, llm: float, fetch: float
) -> None:
    assume(llm - fetch > 1e-6)
    needed = break_even(lookup, llm, fetch)
    assert needed is not None
    assert lookup + needed * fetch + (1.0 - needed) * llm == pytest.approx(llm, rel=1e-6, abs=1e-6)


@given(lookup=TIMES, llm=TIMES, fetch=TIMES, more=st.floats(1.0, 100.0))
def test_dearer_lookups_need_more_hits_and_slower_models_fewer(
    lookup: float, llm: float, fetch: float, more: float
) -> None:
    at, dearer, slower = (
        break_even(lookup, llm, fetch),
        break_even(lookup * more, llm, fetch),
        break_even(lookup, llm * more, fetch),
    )
    assert at is not None
    assert dearer is not None
    assert slower is not None
    assert slower <= at <= dearer


@pytest.mark.parametrize(("llm", "fetch"), [(0.1, 0.1), (0.1, 0.2), (0.0, None), (0.0, 0.0)])
def test_a_hit_that_saves_nothing_never_pays(llm: float, fetch: float | None) -> None:
    needed = break_even(0.001, llm, fetch)
    assert needed == math.inf
    assert pays(Rate(1000, 1000), needed) is Pays.NO


@pytest.mark.parametrize(
    ("lookup", "llm", "fetch"),
    [
        (None, 1.0, 0.1),
        (0.1, None, 0.1),
        (math.nan, 1.0, 0.1),
        (0.1, math.nan, 0.1),
        (0.1, 1.0, math.nan),
        (-0.1, 1.0, 0.1),
        (math.inf, 1.0, 0.1),
        (0.1, math.inf, 0.1),
        (0.1, math.inf, math.inf),
    ],
)
def test_what_is_not_known_or_no_figure_makes_no_rate_and_no_verdict(
    lookup: float | None, llm: float | None, fetch: float | None
) -> None:
    needed = break_even(lookup, llm, fetch)
    assert needed is None
    assert pays(Rate(50, 100), needed) is Pays.UNKNOWN


@pytest.mark.parametrize(
    ("hits", "lookups", "needed", "said"),
    [
        (50, 100, 0.03, Pays.YES),
        (0, 1000, 0.03, Pays.NO),
        (3, 100, 0.03, Pays.UNKNOWN),
        (0, 0, 0.03, Pays.UNKNOWN),
        (0, 3, 0.03, Pays.UNKNOWN),
        (3, 3, 0.03, Pays.YES),
        (90, 100, 1.2, Pays.NO),  # above every rate there is
        (0, 10, 0.0, Pays.YES),  # costs nothing
        (5, 100, math.nan, Pays.UNKNOWN),
    ],
)
def test_only_an_interval_on_one_side_is_a_verdict(
    hits: float, lookups: float, needed: float, said: Pays
) -> None:
    assert pays(Rate(hits, lookups), needed) is said


@given(
    lookups=st.floats(0.0, 1e6),
    share=st.floats(0.0, 1.0),
    needed=st.floats(0.0, 2.0),
    left=st.floats(0.0, 1.0),
)
def test_fading_makes_no_verdict_of_its_own(
    lookups: float, share: float, needed: float, left: float
) -> None:
    rate = Rate(lookups * share, lookups)
    before = pays(rate, needed)
    faded = pays(Rate(rate.hits * left, rate.lookups * left), needed)
    assert faded in {before, Pays.UNKNOWN}


@given(st.floats(0.0, 1.0, exclude_max=True))
def test_what_has_faded_away_is_nothing(left: float) -> None:
    rate = Rate(left * 1e-7, 1e-7)
    assert rate.value is None
    assert rate.interval == (0.0, 1.0)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1e-9, 3601.0, 1e300])
def test_absurd_times_are_none(seconds: float) -> None:
    assert not is_plausible(seconds)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 0.5, 3600.0])
def test_sensible_times_are_times(seconds: float) -> None:
    assert is_plausible(seconds)


def test_a_category_that_does_not_pay_is_passed_over_but_for_the_sample() -> None:
    losing, unsure, winning = Rate(0, 1000), Rate(0, 10), Rate(500, 1000)
    assert passed_over(losing, 0.05, share=0.1, drawn=0.1)
    assert not passed_over(losing, 0.05, share=0.1, drawn=0.0999)
    assert not passed_over(losing, None, share=0.1, drawn=0.5)
    assert not passed_over(unsure, 0.05, share=0.1, drawn=0.5)
    assert not passed_over(winning, 0.05, share=0.1, drawn=0.5)
    assert not passed_over(losing, 0.05, share=1.0, drawn=1.0)
