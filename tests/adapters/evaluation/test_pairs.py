import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from kindcache.adapters.evaluation.asker import Asker, Message
from kindcache.adapters.evaluation.conversations import Conversation
from kindcache.adapters.evaluation.data import Pair
from kindcache.adapters.evaluation.intervals import Share
from kindcache.adapters.evaluation.pairs import Direction, PairReport, run_pairs

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


def test_backward_stores_the_second_and_asks_the_first(asker: Any) -> None:
    # The word count is the same both ways, so that only what is stored tells.
    stored: list[str] = []
    fill = asker.fill

    async def noting(scope: str, prompt: str, earlier: Sequence[Message] = ()) -> None:
        stored.append(prompt)
        await fill(scope, prompt, earlier)

    asker.fill = noting
    report = run(asker, PAIRS[1:3], direction=Direction.BACKWARD)
    assert stored == [pair.q2 for pair in PAIRS[1:3]]
    assert report.overall.recall == Share(1, 2)
    assert "direction" not in report.groups
    stored.clear()
    run(asker, PAIRS[1:2], direction=Direction.BOTH)
    assert stored == [PAIRS[1].q1, PAIRS[1].q2]


def test_pairs_of_one_id_all_count(asker: Any) -> None:
    assert run(asker, [PAIRS[0], PAIRS[0], PAIRS[3]]).overall.pairs == 3


def test_conversations_are_asked_after_their_earlier_messages(asker: Any) -> None:
    here, there = ({"role": "user", "content": "the card"},), ({"role": "user", "content": "no"},)
    cases = [
        Conversation("c-1", "and the fee", "and the fee", 1, "same", "", here, here),
        Conversation("c-2", "and the fee", "and the fee", 0, "other", "", here, there),
    ]
    for direction in Direction:
        report = run(asker, cases, direction=direction)
        assert report.overall.recall.value == 1.0
        assert report.overall.wrong.value == 0.0


def test_the_judge_is_set_against_the_labels(judged: Any) -> None:
    report = run(judged, PAIRS)
    bins = {(one.low, one.high): one.right for one in report.reliability}
    # The reworded pairs; of the other two, one is exact and one not cached.
    assert bins == {(0.0, 0.1): Share(1, 2), (0.7, 0.8): Share(1, 2)}


def test_the_frontier_sweeps_both_scores_over_the_labels(judged: Any) -> None:
    frontier = run(judged, PAIRS).frontier
    assert frontier is not None
    assert frontier.shipped == (1 / 2, 2 / 4)
    judge, cosine = frontier.curves
    assert (judge.name, cosine.name) == ("judge", "cosine")
    for swept in (judge, cosine):
        assert [(point.x, point.y) for point in swept.points] == [
            (0.0, 1 / 4),  # the exact one
            (1 / 2, 2 / 4),
            (1.0, 3 / 4),  # what is not cached is served at no bar
        ]
    assert [point.bar for point in judge.points] == pytest.approx([1.0, 0.716, 0.0], abs=1e-3)
    assert [point.bar for point in cosine.points] == pytest.approx([1.0, 0.894, 0.0], abs=1e-3)


def test_what_is_equal_to_the_letter_ranks_first_for_the_judge(judged: Any) -> None:
    assert run(judged, [PAIRS[0], PAIRS[3]]).overall.judged_auc == 1.0


def test_one_label_makes_no_frontier_and_no_judge_no_bins(asker: Any) -> None:
    report = run(asker, PAIRS[:3])
    assert report.frontier is None
    assert report.reliability == ()
