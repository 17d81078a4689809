"""What an entry is worth, by each policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kindcache.policies.demand import FIRST_GUESS_S, HALF_LIFE_S, Demand, faded, watched_s
from kindcache.policies.worth import WORTHS, Kept, Kind, fifo, gdsf, lfu, lru, value

KEPT = Kept(
    admitted_s=0.0,
    used_s=100.0,
    hits=2,
    uses=2.0,
    level=0.0,
    cost_s=2.0,
    left_s=86_400.0,
    likeness=0.0,
    share=0.01,
)
KIND = Kind()
NOW_S = 1_000.0


@pytest.mark.parametrize(
    "better",
    [
        replace(KEPT, uses=3.0),
        replace(KEPT, used_s=900.0),
        replace(KEPT, admitted_s=90.0),
        replace(KEPT, cost_s=2.1),
        replace(KEPT, share=0.009),
    ],
    ids=["more hits", "later hits", "as many in less time", "dearer", "smaller"],
)
def test_value_prefers(better: Kept) -> None:
    assert value(better, KIND, NOW_S) > value(KEPT, KIND, NOW_S)


def test_value_is_proportional_to_priority_cost_and_room() -> None:
    one = value(KEPT, KIND, NOW_S)
    assert value(KEPT, replace(KIND, priority=3.0), NOW_S) == pytest.approx(3 * one)
    assert value(replace(KEPT, cost_s=4.0), KIND, NOW_S) == pytest.approx(2 * one)
    assert value(replace(KEPT, share=0.02), KIND, NOW_S) == pytest.approx(one / 2)


def test_an_unknown_cost_is_that_of_the_category() -> None:
    kind = replace(KIND, cost_s=7.0)
    known = value(replace(KEPT, cost_s=7.0), kind, NOW_S)
    assert value(replace(KEPT, cost_s=0.0), kind, NOW_S) == known


def test_a_new_entry_is_worth_what_its_category_is_asked_for() -> None:
    new = replace(KEPT, admitted_s=NOW_S, used_s=NOW_S, hits=0, uses=0.0)
    asked, never = replace(KIND, rate_per_s=0.1), replace(KIND, rate_per_s=1e-6)
    assert value(new, asked, NOW_S) == pytest.approx(0.1 * 2.0 / 0.01)
    assert value(new, never, NOW_S) == pytest.approx(1e-6 * 2.0 / 0.01)


def test_what_nobody_asks_for_is_worth_less_by_the_hour() -> None:
    new = replace(KEPT, admitted_s=0.0, used_s=0.0, hits=0, uses=0.0)
    worths = [value(new, KIND, hour * 3600.0) for hour in range(5)]
    assert worths == sorted(worths, reverse=True)
    assert worths[0] > worths[4]


def test_the_last_minutes_of_a_life_count_less_and_what_has_expired_nothing() -> None:
    worths = [value(replace(KEPT, left_s=s), KIND, NOW_S) for s in (3600.0, 150.0, 0.0, -5.0)]
    assert worths[0] > worths[1] > worths[2] == worths[3] == 0.0


def test_one_of_several_near_duplicates_is_the_first_to_go() -> None:
    new = replace(KEPT, admitted_s=NOW_S, used_s=NOW_S, hits=0, uses=0.0)
    alone, distant, twin = (
        value(replace(new, likeness=near), KIND, NOW_S) for near in (0.0, 0.8, 0.99)
    )
    assert alone == distant > twin > 0.0


def test_lru_and_fifo_know_only_times() -> None:
    dear = replace(KEPT, cost_s=99.0, hits=50, uses=50.0)
    assert lru(dear, KIND, NOW_S) == lru(KEPT, KIND, NOW_S)
    assert lru(replace(KEPT, used_s=101.0), KIND, NOW_S) > lru(KEPT, KIND, NOW_S)
    assert fifo(replace(dear, used_s=500.0), KIND, NOW_S) == fifo(KEPT, KIND, NOW_S)
    assert fifo(replace(KEPT, admitted_s=1.0), KIND, NOW_S) > fifo(KEPT, KIND, NOW_S)


def test_lfu_counts_hits_and_breaks_ties_by_age() -> None:
    assert lfu(replace(KEPT, hits=3, used_s=0.0), KIND, NOW_S) > lfu(KEPT, KIND, NOW_S)
    assert lfu(replace(KEPT, used_s=200.0), KIND, NOW_S) > lfu(KEPT, KIND, NOW_S)


def test_gdsf_forgets_by_the_level_at_the_last_use() -> None:
    assert gdsf(KEPT, KIND, NOW_S) == pytest.approx(3 * 2.0 / 0.01)
    used_later = replace(KEPT, hits=0, level=500.0)
    assert gdsf(used_later, KIND, NOW_S) > gdsf(KEPT, KIND, NOW_S)


@pytest.mark.parametrize("name", WORTHS)
def test_a_clock_that_went_back_breaks_no_policy(name: str) -> None:
    worth = WORTHS[name](KEPT, KIND, -1e6)  # type: ignore[index]
    assert worth == worth  # noqa: PLR0124 - not NaN
    assert abs(worth) < 1e9


def test_half_of_everything_is_forgotten_after_a_half_life() -> None:
    assert faded(8.0, HALF_LIFE_S) == pytest.approx(4.0)
    assert faded(8.0, -5.0) == 8.0
    assert watched_s(1.0) == pytest.approx(1.0, rel=1e-3)
    assert watched_s(1e9) == pytest.approx(HALF_LIFE_S / 0.6931, rel=1e-3)


def test_demand_is_hits_a_second_of_one_entry() -> None:
    demand = Demand(0.0)
    assert demand.rate_per_s == 1 / FIRST_GUESS_S
    for _ in range(10):
        demand.admitted(0.0, 0.0)
    for minute in range(600):
        demand.hit(minute * 60.0)
    # ten entries, one hit a minute: each is asked for every ten minutes
    assert demand.rate_per_s == pytest.approx(1 / 600, rel=0.05)
    for _ in range(10):
        demand.removed(36_000.0)
    assert demand.count == 0


def test_demand_knows_the_mean_cost_of_those_that_have_one() -> None:
    demand = Demand(0.0)
    assert demand.mean_cost_s == 1.0
    for cost_s in (2.0, 4.0, 0.0):
        demand.admitted(0.0, cost_s)
    assert demand.mean_cost_s == pytest.approx(3.0)
    demand.pass_time(1e9)
    assert demand.mean_cost_s == 1.0


def test_a_clock_that_jumps_leaves_a_demand_that_can_be_used() -> None:
    demand = Demand(1e9)
    demand.admitted(1e9, 1.0)
    demand.hit(0.0)
    demand.hit(2e9)
    assert 0.0 < demand.rate_per_s < 1.0
