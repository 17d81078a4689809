"""What the evidence proposes, category by category."""

import pytest

from kindcache.adapters.tuning.propose import Finding, Proposal, accepts_missing, propose
from kindcache.config.load import loads
from kindcache.config.settings import Settings
from kindcache.policies.calibration import Tally
from tests.adapters.tuning.conftest import MakeTally

TEXT = """\
defaults: {min_probability: 0.97}
categories:
  code: {ttl: 7d}
  support: {max_error_rate: 2%}
  secret: {cache: false}
  letters: {semantic: false}
"""


def found(
    tallies: dict[str, Tally], rate: float | None = 0.01, text: str = TEXT
) -> dict[str, Proposal]:
    settings: Settings = loads(text, "test")
    return {one.category: one for one in propose(settings, tallies, rate)}


def test_own_evidence_lowers_the_bar(tally: MakeTally) -> None:
    one = found({"code": tally((0.995, 500, 0), (0.9, 400, 1), (0.3, 20, 80))})["code"]
    assert one.finding is Finding.CERTIFIED
    assert one.proposed is not None
    assert one.bar is not None
    assert 0.5 < one.proposed <= 0.9
    assert (one.bar.wrong, one.bar.accepts) == (1, 901)
    assert one.bar.upper <= 0.01
    assert (one.observations, one.wrong) == (1001, 81)
    assert one.at_bar == (0, 500)


def test_little_evidence_borrows_from_all_categories(tally: MakeTally) -> None:
    of = found({"code": tally((0.995, 900, 0), (0.9, 900, 1)), "support": tally((0.99, 20, 0))})
    assert of["code"].finding is Finding.CERTIFIED
    assert of["support"].finding is of["default"].finding is Finding.POOLED
    assert of["support"].proposed is not None
    assert of["support"].bar is not None
    assert of["support"].bar.accepts == 1821


def test_without_enough_evidence_the_bar_stays_and_what_is_missing_is_told(
    tally: MakeTally,
) -> None:
    of = found({"code": tally((0.995, 100, 0), (0.5, 30, 30))})
    assert of["code"].finding is Finding.UNCERTIFIED
    assert of["code"].proposed is None
    assert of["code"].at_bar == (0, 100)
    assert of["code"].more == 199
    assert of["default"].more == 299


def test_evidence_far_above_the_bar_says_nothing_about_it(tally: MakeTally) -> None:
    one = found({"code": tally((0.999, 900, 0))})["code"]
    assert one.finding is Finding.UNCERTIFIED
    assert one.higher is not None
    assert 0.97 < one.higher <= 0.999


def test_a_bar_that_the_evidence_contradicts_is_raised_or_closed(tally: MakeTally) -> None:
    of = found({"code": tally((0.98, 60, 40), (0.9996, 900, 0))})
    assert of["code"].finding is Finding.CERTIFIED
    assert of["code"].proposed is not None
    assert of["code"].proposed > 0.98
    assert found({"code": tally((0.98, 60, 40))})["code"].finding is Finding.CLOSED


def test_each_category_has_its_own_rate_unless_one_is_given(tally: MakeTally) -> None:
    tallies = {"support": tally((0.95, 200, 0)), "code": tally((0.95, 900, 0))}
    own = found(tallies, rate=None)
    assert (own["support"].rate, own["support"].finding) == (0.02, Finding.CERTIFIED)
    assert (own["code"].rate, own["code"].finding) == (None, Finding.NO_RATE)
    given = found(tallies, rate=0.005)
    assert given["code"].finding is Finding.CERTIFIED
    assert given["support"].rate == 0.005


@pytest.mark.parametrize("name", ["secret", "letters"])
def test_what_is_not_served_by_meaning_has_no_bar(name: str, tally: MakeTally) -> None:
    one = found({name: tally((0.99, 900, 0))})[name]
    assert one.finding is Finding.NOT_BY_MEANING
    assert one.proposed is None
    assert one.more is None


@pytest.mark.parametrize(
    ("wrong", "seen", "rate", "more"),
    [(0, 0, 0.01, 299), (0, 299, 0.01, 0), (1, 1, 0.01, 472), (0, 0, 0.3, 9)],
)
def test_how_many_accepts_are_missing(wrong: int, seen: int, rate: float, more: int) -> None:
    assert accepts_missing(wrong, seen, rate) == more


def test_what_nobody_collects_is_no_number() -> None:
    assert accepts_missing(0, 0, 1e-9) is None
