"""Bars from evidence: what is certified, what is not, and that the promise holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindcache.policies.binomial import upper
from kindcache.policies.calibration import NOTHING, Bar, bars, certify, enough
from kindcache.policies.observation import Source
from kindcache.policies.tally import COUNT, EDGES, Cell, Tally, bin_of, first_edge

STRICT = 0.97
EDGE_OF = np.array((0.0, *EDGES))
SURE, LESS, GUESS = 0.99, 0.9, 0.3


def tally(
    *groups: tuple[float, int, int], source: Source = Source.LABEL, bar: float = 0.0
) -> Tally:
    """``groups`` of probability, right, wrong."""
    floor = first_edge(bar)
    cells: Counter[Cell] = Counter()
    for probability, right, wrong in groups:
        cells[Cell(source, bin_of(probability), True, floor)] += right
        cells[Cell(source, bin_of(probability), False, floor)] += wrong
    return Tally(cells)


def test_nothing_known_keeps_the_strict_bar() -> None:
    assert certify(Tally(), 0.01, STRICT) == Bar(STRICT, 0, 0, 1.0, certified=False)


@pytest.mark.parametrize(("accepts", "certified"), [(298, False), (299, True)])
def test_about_300_accepts_without_an_error_certify_one_percent(
    accepts: int, certified: bool
) -> None:
    bar = certify(tally((LESS, accepts, 0)), 0.01, STRICT)
    assert bar.certified is certified
    assert bar.min_probability == (EDGES[bin_of(LESS) - 1] if certified else STRICT)
    assert enough(0.01) == 299


def test_the_bar_stands_where_the_errors_begin() -> None:
    bar = certify(tally((SURE, 600, 0), (LESS, 400, 2), (GUESS, 500, 200)), 0.01, STRICT)
    assert bar == Bar(EDGES[bin_of(LESS) - 1], 1002, 2, upper(2, 1002), certified=True)
    assert bar.upper <= 0.01


def test_a_bar_that_only_luck_would_pass_is_out_of_reach() -> None:
    """The lowest bins look clean, but what lies above them does not."""
    bar = certify(tally((SURE, 280, 20), (GUESS, 5000, 0)), 0.001, STRICT)
    assert bar.min_probability >= STRICT


def test_a_bar_between_two_edges_is_lowered_to_the_edge_below_it() -> None:
    bar = certify(tally((SURE, 2000, 0)), 0.01, EDGES[bin_of(SURE)])
    assert bar.min_probability == EDGES[bin_of(SURE) - 1]


def test_a_broken_strict_bar_gives_way_to_a_certified_one_above_it() -> None:
    bar = certify(tally((0.9993, 1000, 0), (0.975, 0, 100)), 0.01, STRICT)
    assert bar.certified
    assert bar.min_probability > 0.99


def test_a_broken_strict_bar_with_nothing_certified_serves_nothing() -> None:
    assert certify(tally((SURE, 50, 10)), 0.01, STRICT) == Bar(NOTHING, 0, 0, 1.0, certified=False)
    assert NOTHING > 1.0


def test_errors_that_chance_explains_leave_the_strict_bar() -> None:
    bar = certify(tally((SURE, 48, 2)), 0.02, STRICT)
    assert (bar.min_probability, bar.accepts, bar.wrong) == (STRICT, 50, 2)


def test_a_certificate_above_an_unbroken_strict_bar_changes_nothing() -> None:
    bar = certify(tally((0.9993, 400, 0), (0.975, 97, 3)), 0.01, STRICT)
    assert (bar.min_probability, bar.certified) == (STRICT, False)


def test_a_strict_bar_above_all_edges() -> None:
    assert certify(tally((SURE, 50, 10)), 0.01, 0.9999).min_probability == 0.9999


def test_served_hits_alone_lower_nothing() -> None:
    served = tally((0.999, 100_000, 0), source=Source.CHECK, bar=STRICT)
    assert certify(served, 0.01, STRICT).min_probability == STRICT
    watched = served.merge(tally((LESS, 1000, 0)))
    assert certify(watched, 0.01, STRICT).min_probability == EDGES[bin_of(LESS) - 1]


def test_served_hits_keep_the_bar_they_were_served_at() -> None:
    """Labels and shadows grow old and go; checks that go on hold what they once allowed."""
    low = EDGES[bin_of(LESS) - 1]
    served = tally((SURE, 600, 0), (LESS, 600, 1), source=Source.CHECK, bar=low)
    assert certify(served, 0.01, STRICT).min_probability == low


def test_a_bar_goes_no_lower_than_what_was_looked_at() -> None:
    bar = certify(tally((0.7, 5000, 0)), 0.01, STRICT)
    assert bar.min_probability == EDGES[bin_of(0.7) - 1]


def test_praise_lowers_no_bar() -> None:
    praise = tally((LESS, 100_000, 0), source=Source.FEEDBACK)
    assert certify(praise, 0.01, STRICT) == certify(Tally(), 0.01, STRICT)


def test_complaints_take_a_certificate_away_but_close_nothing() -> None:
    """How many looked and said nothing is not known: there is no share of errors in complaints."""
    evidence = tally((LESS, 500, 0))
    complaints = tally((SURE, 0, 5), source=Source.FEEDBACK)
    assert certify(evidence, 0.01, STRICT).min_probability < STRICT
    assert certify(evidence.merge(complaints), 0.01, STRICT).min_probability == STRICT
    assert certify(complaints, 0.01, STRICT).min_probability == STRICT


def test_enough() -> None:
    assert [enough(rate) for rate in (0.01, 0.02, 0.5)] == [299, 149, 5]
    assert enough(0.01, 1 / 3) == 773  # three wrong


def test_a_rate_of_all_allows_every_bar_that_was_ever_right() -> None:
    assert enough(1.0) == 1
    bar = certify(tally((SURE, 1, 0), (GUESS, 1, 9)), 1.0, STRICT)
    assert bar.min_probability == EDGES[bin_of(GUESS) - 1]


# The pool ------------------------------------------------------------------------------------


def chosen(
    by_category: dict[str, Tally], rates: dict[str, float | None] | None = None
) -> dict[str, float]:
    rates = rates or dict.fromkeys(by_category, 0.01)
    found = bars(by_category, rates, dict.fromkeys(rates, STRICT))
    return {name: bar.min_probability for name, bar in found.items()}


LOW = EDGES[bin_of(LESS) - 1]


def test_only_categories_with_a_rate_are_calibrated() -> None:
    rates: dict[str, float | None] = {"a": 0.01, "b": None, "new": 0.01}
    assert chosen({"a": tally((LESS, 1000, 0)), "b": tally()}, rates) == {"a": LOW, "new": LOW}


def test_a_category_with_little_evidence_borrows_from_all() -> None:
    assert chosen({"a": tally((LESS, 1000, 0)), "b": tally((LESS, 20, 0))}) == {"a": LOW, "b": LOW}


def test_many_small_categories_carry_each_other() -> None:
    small = {str(number): tally((LESS, 20, 0)) for number in range(20)}
    assert set(chosen(small).values()) == {LOW}


def test_a_category_whose_own_evidence_contradicts_does_not_borrow() -> None:
    found = chosen({"a": tally((LESS, 5000, 0)), "b": tally((SURE, 100, 0), (LESS, 18, 4))})
    assert found == {"a": LOW, "b": STRICT}


def test_complaints_contradict_too() -> None:
    complaints = tally((LESS, 0, 4), source=Source.FEEDBACK)
    found = chosen({"a": tally((LESS, 5000, 0)), "b": tally((LESS, 20, 0)).merge(complaints)})
    assert found == {"a": LOW, "b": STRICT}


def test_a_category_that_knows_enough_decides_for_itself() -> None:
    """1.2 % wrong contradicts 1 % with no confidence, but 1,000 of its own say more than others."""
    found = chosen({"a": tally((LESS, 50_000, 0)), "b": tally((SURE, 100, 0), (LESS, 889, 11))})
    assert found == {"a": LOW, "b": STRICT}


def test_a_broken_category_closes_itself_and_no_other() -> None:
    found = chosen({"a": tally((SURE, 100, 50)), "b": tally((SURE, 20, 0))})
    assert found == {"a": NOTHING, "b": STRICT}


def test_each_category_meets_its_own_rate() -> None:
    evidence = tally((SURE, 1000, 1), (LESS, 1000, 20))
    rates: dict[str, float | None] = {"a": 0.01, "b": 0.05}
    found = chosen({"a": evidence, "b": Tally()}, rates)
    assert found["b"] == LOW
    assert found["a"] > LOW


# What holds whatever the evidence ---------------------------------------------------------------

bins = st.integers(bin_of(0.5), COUNT)
evidence = st.lists(st.tuples(bins, st.integers(0, 400), st.integers(0, 6)), max_size=12)


def of(groups: Iterable[tuple[int, int, int]]) -> Tally:
    return tally(*((float(EDGE_OF[at]), right, wrong) for at, right, wrong in groups))


@given(groups=evidence, data=st.data())
@settings(max_examples=150)
def test_a_wrong_answer_in_place_of_a_right_one_never_lowers_the_bar(
    groups: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """The walk looks at how many, so that the number of outcomes must stay to compare two walks."""
    turned = [
        (number, right - more, wrong + more)
        for number, right, wrong in groups
        for more in [data.draw(st.integers(0, right))]
    ]
    before, after = (certify(of(one), 0.01, STRICT) for one in (groups, turned))
    assert after.min_probability >= before.min_probability


@given(groups=evidence, more=st.lists(st.integers(0, 50), min_size=12, max_size=12))
@settings(max_examples=150)
def test_complaints_never_lower_the_bar(
    groups: list[tuple[int, int, int]], more: list[int]
) -> None:
    complaints = tally(
        *((EDGES[g[0] - 1], 0, n) for g, n in zip(groups, more, strict=False)),
        source=Source.FEEDBACK,
    )
    before, after = (
        certify(one, 0.01, STRICT) for one in (of(groups), of(groups).merge(complaints))
    )
    assert after.min_probability >= before.min_probability


@given(groups=evidence)
@settings(max_examples=150)
def test_a_certificate_says_what_it_promises(groups: list[tuple[int, int, int]]) -> None:
    evidence = of(groups)
    bar = certify(evidence, 0.01, STRICT)
    if bar.certified:
        at, counts = first_edge(bar.min_probability), evidence.counts()
        assert (counts.fair[at], counts.wrong[at]) == (bar.accepts, bar.wrong)
        assert bar.upper <= 0.01 * (1 + 1e-4)
    else:
        assert bar.min_probability in {STRICT, NOTHING}


# The promise ------------------------------------------------------------------------------------


def modest(probability: float) -> float:
    return 0.5 * (1.0 - probability)


def too_sure(probability: float) -> float:
    return min(1.0, 3.0 * (1.0 - probability))


def flat(_probability: float) -> float:
    return 0.0101  # hardly wrong too often, whatever the bar


def kinked(probability: float) -> float:
    return 0.002 if probability >= EDGES[bin_of(0.96) - 1] else 0.08


TRAFFIC = np.exp(-(((np.arange(COUNT + 1) / COUNT - 0.6) / 0.3) ** 2) / 2)
TRAFFIC /= TRAFFIC.sum()


def drawn(random: np.random.Generator, size: int, error: Callable[[float], float]) -> Tally:
    amounts = random.multinomial(size, TRAFFIC)
    wrong = random.binomial(amounts, [error(float(edge)) for edge in EDGE_OF])
    return of((at, int(amounts[at] - wrong[at]), int(wrong[at])) for at in range(COUNT + 1))


@pytest.mark.parametrize("error", [modest, too_sure, flat, kinked])
@pytest.mark.parametrize("size", [600, 2000])
def test_the_true_error_is_within_the_rate_in_19_of_20_calibrations(
    error: Callable[[float], float], size: int
) -> None:
    random, runs, rate = np.random.default_rng(7), 400, 0.01
    errors = TRAFFIC * [error(float(edge)) for edge in EDGE_OF]
    broken = 0
    for _ in range(runs):
        bar = certify(drawn(random, size, error), rate, STRICT)
        served = bar.min_probability <= EDGE_OF
        broken += bar.certified and errors[served].sum() > rate * TRAFFIC[served].sum()
    assert broken <= 0.07 * runs  # 5 %, and what chance adds to it in 400 runs


def test_evidence_pays() -> None:
    """2,000 observations of a judge that is half as often wrong as it says lower the bar."""
    random = np.random.default_rng(11)
    lowered = [certify(drawn(random, 2000, modest), 0.02, STRICT) for _ in range(50)]
    assert sum(bar.certified for bar in lowered) >= 45
