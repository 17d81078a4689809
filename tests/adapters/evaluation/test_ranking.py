import random

import pytest

from kindcache.adapters.evaluation.intervals import Share
from kindcache.adapters.evaluation.ranking import area, sweep


@pytest.mark.parametrize(
    ("max_wrong", "bar", "served"),
    [(0.0, 0.91, 2), (0.25, 0.7, 3), (0.5, 0.55, 4), (0.75, 0.3, 5), (1.0, 0.2, 5)],
)
def test_the_sweep_finds_the_lowest_bar_within_the_share(
    max_wrong: float, bar: float, served: int
) -> None:
    same = [0.99, 0.91, 0.7, 0.55, 0.3]
    other = [0.9, 0.6, 0.5, 0.2]
    found = sweep(same, other, max_wrong)
    assert found.recall == Share(served, 5)
    assert sum(value >= bar for value in same) == served
    assert found.threshold == bar
    assert sum(value >= bar for value in other) <= max_wrong * 4


def test_nothing_can_be_served_when_a_wrong_pair_is_nearest() -> None:
    found = sweep([0.8, 0.9], [1.0, 0.1], 0.01)
    assert found.threshold is None
    assert found.recall == Share(0, 2)


def test_a_pair_without_candidate_is_served_at_no_bar() -> None:
    assert sweep([0.9, -1.0], [-1.0], 1.0).recall == Share(1, 2)


def test_area_is_the_chance_of_ranking_right() -> None:
    assert area([0.9, 0.8], [0.7, 0.1]) == 1.0
    assert area([0.1], [0.7, 0.9]) == 0.0
    assert area([0.5], [0.5]) == 0.5
    assert area([], [0.5]) is None
    generator = random.Random(7)
    near = [generator.randint(2, 12) / 10 for _ in range(40)]
    far = [generator.randint(0, 10) / 10 for _ in range(30)]
    pairs = [(a, b) for a in near for b in far]
    expected = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    assert area(near, far) == pytest.approx(expected)
