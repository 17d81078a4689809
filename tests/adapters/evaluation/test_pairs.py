import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from kindcache.adapters.evaluation.asker import Asker
from kindcache.adapters.evaluation.data import Pair
from kindcache.adapters.evaluation.intervals import Share
from kindcache.adapters.evaluation.pairs import Direction, PairReport, area, run_pairs, sweep

PAIRS = [
    Pair("t-1", "where is my order", "where is my order", 1, "repeat", "support"),
    Pair("t-2", "where is my order", "where is my order please", 1, "near", "support"),
    Pair("t-3", "how do I pay", "what ways of payment exist", 1, "far", "support"),
    Pair("t-4", "cancel my order now", "cancel my order not now", 0, "negation", "support"),
    Pair("t-5", "does this code run", "is it raining", 0, "unrelated", "code"),
    Pair("t-6", "which medicine is it", "which medicine is it", 1, "repeat", "medical"),
]


def run(asker: Asker, pairs: Sequence[Pair], **options: Any) -> PairReport:
    return asyncio.run(run_pairs(asker, pairs, **options))


def test_counts_what_is_served_on_each_label(asker: Any) -> None:
    report = run(asker, PAIRS, source="small")
    assert report.source == "small"
    assert report.overall.pairs == 6
    assert report.overall.recall == Share(2, 4)
    assert report.overall.wrong == Share(1, 2)
    assert report.unserved == {"below_threshold": 1, "category": 1}


def test_each_pair_has_a_scope_of_its_own_that_is_dropped(asker: Any) -> None:
    same = [Pair(f"s-{n}", "alpha beta", f"gamma {n}", 0) for n in range(3)]
    same.append(Pair("s-9", "delta", "alpha beta", 0))
    report = run(asker, same)
    assert report.overall.wrong == Share(0, 4)
    assert len(set(asker.filled_in)) == 4
    assert sorted(asker.forgotten) == sorted(asker.filled_in)
    assert not asker.scopes


def test_groups_by_half_kind_and_category(asker: Any) -> None:
    groups = run(asker, PAIRS).groups
    halves = {group.name: group for group in groups["half"]}
    assert halves["dev"].pairs == halves["final"].pairs == 3
    assert halves["dev"].recall == Share(1, 2)
    assert halves["final"].wrong == Share(1, 1)
    kinds = {group.name: group for group in groups["kind"]}
    assert kinds["repeat"].recall == Share(1, 2)
    assert kinds["negation"].wrong == Share(1, 1)
    assert kinds["negation"].auc is None
    assert [group.name for group in groups["category"]] == ["code", "medical", "support"]
    assert {group.name for group in groups["decided category"]} == {"default", "medical"}
    assert "direction" not in groups


def test_both_directions_ask_twice_and_keep_the_interval(asker: Any) -> None:
    report = run(asker, PAIRS, direction=Direction.BOTH)
    assert report.overall.pairs == 6
    assert report.overall.recall == Share(4, 8, per_case=2)
    assert report.overall.recall.interval == Share(2, 4).interval
    directions = {group.name: group for group in report.groups["direction"]}
    assert directions["backward"].wrong == directions["forward"].wrong == Share(1, 2)
    assert len(set(asker.filled_in)) == 12


def test_prompts_are_prepared_before_they_are_asked(asker: Any) -> None:
    many = [Pair(f"m-{n}", f"left {n}", f"right {n}", 0) for n in range(300)]
    done: list[tuple[int, ...]] = []
    run(asker, many, progress=lambda *numbers: done.append(numbers))
    assert [len(chunk) for chunk in asker.prepared] == [512, 88]
    assert done[0] == (1, 300)
    assert done[-1] == (300, 300)


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
