"""What a category's lookups cost and bring, as fading means."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.account import HALF_LIFE_S, Account, Stages
from kindcache.policies.economics import Pays
from kindcache.policies.prices import Price, Prices

USUAL = Stages(embed_s=0.001, search_s=0.0005, judge_s=0.0015, total_s=0.005)
PRICES = Prices((("m", Price(1.0, 2.0)),), per_lookup=0.0001)
TIMES = st.floats(allow_nan=True, allow_infinity=True)


def account(lookups: int = 100, hits: int = 10, *, answer_s: float = 1.0) -> Account:
    made = Account(0.0)
    for number in range(lookups):
        made.looked_up(0.0, USUAL, hit=number < hits)
    for _ in range(lookups - hits):
        made.answered(0.0, answer_s, 0.002)
    return made


def test_lookup_fetch_and_answer_make_the_rate_that_is_needed() -> None:
    at = account()
    assert at.lookup_s == pytest.approx(0.003)
    assert at.fetch_mean_s == pytest.approx(0.002)
    assert at.needed == pytest.approx(0.003 / 0.998)
    assert at.needed_to_search == pytest.approx(0.002 / 0.998)
    assert at.rate.value == pytest.approx(0.1)
    assert at.pays(at.needed) is Pays.YES


def test_money_has_a_rate_of_its_own() -> None:
    at = account()
    assert at.needed_in_money(PRICES) == pytest.approx(0.0001 / 0.002)
    machine = Prices(PRICES.table, per_cpu_second=0.1)
    assert at.needed_in_money(machine) == pytest.approx(0.0003 / (0.002 - 0.0002))
    both = Prices(PRICES.table, per_lookup=0.0001, per_cpu_second=0.1)
    assert at.needed_in_money(both) == pytest.approx(0.0004 / (0.002 - 0.0002))
    assert at.needed_in_money(Prices(PRICES.table)) is None  # what a lookup costs is not known
    unpriced = Account(0.0)
    for _ in range(20):
        unpriced.looked_up(0.0, USUAL, hit=False)
        unpriced.answered(0.0, 1.0, None)
    assert unpriced.needed is not None
    assert unpriced.needed_in_money(PRICES) is None


def test_a_model_as_quick_as_the_cache_never_pays() -> None:
    at = account(answer_s=0.001)
    assert at.needed == math.inf
    assert at.pays(at.needed) is Pays.NO


def test_what_a_search_costs_and_finds_leaves_out_words_judged_before() -> None:
    at = account(lookups=100, hits=10)
    for _ in range(300):
        at.looked_up(0.0, Stages(0.0, 0.0, 0.0, 0.001), hit=True)
    assert at.rate.value == pytest.approx(310 / 400)
    assert at.lookup_s == pytest.approx(0.003 / 4)
    assert at.search_rate.value == pytest.approx(0.1)
    assert at.fetch_mean_s is not None
    assert at.needed_to_search == pytest.approx(0.002 / (1.0 - at.fetch_mean_s))
    only = Account(0.0)
    for _ in range(20):
        only.looked_up(0.0, Stages(0.0, 0.0, 0.0, 0.001), hit=True)
        only.answered(0.0, 1.0, None)
    assert only.needed_to_search is None


def test_a_few_values_say_nothing_yet() -> None:
    at = account(lookups=5, hits=1)
    assert at.lookup_s is None
    assert at.needed is None
    assert at.pays(at.needed) is Pays.UNKNOWN


def test_the_past_fades_by_half_in_a_half_life_and_its_means_stay() -> None:
    at = account(lookups=1000, hits=100)
    at.pass_time(HALF_LIFE_S)
    assert at.lookups == pytest.approx(500.0)
    assert at.rate.value == pytest.approx(0.1)
    assert at.lookup_s == pytest.approx(0.003)
    at.pass_time(1000 * HALF_LIFE_S)
    assert at.needed is None
    assert at.rate.interval == (0.0, 1.0)


def test_the_present_outweighs_the_past() -> None:
    at = account(lookups=1000, hits=0)
    at.pass_time(7 * HALF_LIFE_S)
    for _ in range(100):
        at.looked_up(7 * HALF_LIFE_S, USUAL, hit=True)
    assert at.rate.value == pytest.approx(100 / (100 + 1000 / 128))


@given(st.lists(st.floats(-1e12, 1e12), max_size=20))
def test_clocks_that_jump_leave_sensible_figures(moments: list[float]) -> None:
    at = account()
    for now_s in moments:
        at.looked_up(now_s, USUAL, hit=True)
        low, high = at.rate.interval
        assert 0.0 <= low <= high <= 1.0
        assert 0.0 <= at.hits <= at.lookups
        assert at.lookup_s is None or at.lookup_s == pytest.approx(0.003)


@given(st.lists(st.tuples(TIMES, TIMES, TIMES, TIMES, TIMES), max_size=20))
def test_absurd_times_are_not_taken_in(taken: list[tuple[float, ...]]) -> None:
    at = Account(0.0)
    for embed_s, search_s, judge_s, total_s, answer_s in taken:
        at.looked_up(0.0, Stages(embed_s, search_s, judge_s, total_s), hit=True)
        at.answered(0.0, answer_s, None)
    assert at.lookups == len(taken)  # that it was a lookup, and a hit, is no matter of time
    for mean in (at.embed_s, at.find_s, at.fetch_s, at.answer_s):
        assert 0.0 <= mean.total <= 7200.0 * len(taken)
    assert at.needed is None or at.needed >= 0.0
