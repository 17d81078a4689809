import asyncio
from collections.abc import Sequence
from typing import Any

from kindcache.adapters.evaluation.asker import Asked, Asker
from kindcache.adapters.evaluation.data import Query
from kindcache.adapters.evaluation.intervals import Share
from kindcache.adapters.evaluation.stream import StreamReport, run_stream

STREAM = [
    Query("1", "where is my order 12", "order 12", "support"),  # new
    Query("2", "where is my order 12", "order 12", "support"),  # exact, right
    Query("3", "where is my order 12 please", "order 12", "support"),  # semantic, right
    Query("4", "where is my order 13", "order 13", "support"),  # semantic, wrong
    Query("5", "which medicine helps", "medicine", "medical"),  # bypass
    Query("6", "which medicine helps", "medicine", "medical"),  # bypass, repeatable
    Query("7", "what happened to parcel 13", "order 13", "support"),  # miss, repeatable
    Query("8", "does the code compile", "code", "code"),  # new
]


def run(asker: Asker, queries: Sequence[Query], **options: Any) -> StreamReport:
    return asyncio.run(run_stream(asker, queries, **options))


def test_counts_hits_right_and_wrong(asker: Any) -> None:
    report = run(asker, STREAM, source="small")
    figures = report.overall
    assert (figures.queries, figures.exact, figures.semantic) == (8, 1, 2)
    assert figures.hits == Share(3, 8)
    assert figures.wrong_of_queries == Share(1, 8)
    assert figures.wrong_of_hits == Share(1, 3)
    assert figures.precision == Share(2, 3)
    assert figures.recall == Share(2, 4)
    assert report.unserved == {"category": 1, "below_threshold": 1}


def test_groups_by_category(asker: Any) -> None:
    groups = run(asker, STREAM).groups
    by_label = {group.name: group for group in groups["category"]}
    assert by_label["support"].recall == Share(2, 3)
    assert by_label["medical"].hits == Share(0, 2)
    assert by_label["code"].precision == Share(0, 0)
    assert {group.name for group in groups["decided category"]} == {"code", "default", "medical"}


def test_one_category_makes_no_group(asker: Any) -> None:
    assert run(asker, STREAM[:2]).groups == {}


def test_the_scope_starts_and_ends_empty(asker: Any) -> None:
    run(asker, STREAM)
    assert not asker.scopes
    assert run(asker, STREAM[:1]).overall.hits == Share(0, 1)


def test_hits_do_not_fill(asker: Any) -> None:
    run(asker, STREAM[:4])
    assert len(asker.filled_in) == 1


def test_the_origin_decides_not_the_wording(asker: Any) -> None:
    # The same words with another key: the entry of the first must not count as right.
    stream = [Query("1", "price today", "monday"), Query("2", "price today", "tuesday")]
    assert run(asker, stream).overall.wrong_of_hits == Share(1, 1)


def test_a_hit_without_origin_counts_as_wrong(asker: Any) -> None:
    async def nameless(_scope: str, _prompt: str) -> Asked:
        return Asked(True, "semantic", None, 0.9, "default", "semantic")

    asker.ask = nameless
    assert run(asker, STREAM[:1]).overall.wrong_of_hits == Share(1, 1)


def test_queries_are_prepared_in_chunks(asker: Any) -> None:
    many = [Query(str(n), f"text {n}", str(n)) for n in range(600)]
    done: list[tuple[int, ...]] = []
    run(asker, many, progress=lambda *numbers: done.append(numbers))
    assert [len(chunk) for chunk in asker.prepared] == [256, 256, 88]
    assert done[-1] == (600, 600)


def test_candidates_that_were_scored_are_right_or_wrong_by_their_key(judged: Any) -> None:
    report = run(judged, STREAM)
    # 3 is near to its own key, 4 less near to another, 7 and 8 far off; 2 is exact, 5 not cached.
    bins = {(one.low, one.high): one.right for one in report.reliability}
    assert bins == {(0.0, 0.1): Share(0, 2), (0.5, 0.6): Share(0, 1), (0.7, 0.8): Share(1, 1)}
    assert report.overall.judged_auc == report.overall.auc == 1.0
    by_label = {group.name: group for group in report.groups["category"]}
    assert by_label["code"].judged_auc is None


def test_a_candidate_that_ranks_behind_another_key_lowers_the_area(judged: Any) -> None:
    # "red paint" is near to the blue one's key, "the colour of blood" far from its own.
    stream = [
        Query("1", "where is the blue paint", "blue"),
        Query("2", "where is the red paint", "red"),
        Query("3", "where do they keep blue", "blue"),
    ]
    assert run(judged, stream).overall.judged_auc == 0.0


def test_the_frontier_starts_at_the_exact_hits(judged: Any) -> None:
    frontier = run(judged, STREAM).frontier
    assert frontier is not None
    assert frontier.shipped == (3 / 8, 2 / 3)
    judge, cosine = frontier.curves
    points = [(2 / 8, 2 / 2), (3 / 8, 2 / 3), (5 / 8, 2 / 5)]  # of queries, of hits
    assert [(point.x, point.y) for point in judge.points] == points
    assert [(point.x, point.y) for point in cosine.points] == points
    assert cosine.points[0].bar > judge.points[0].bar


def test_without_a_judge_there_is_nothing_to_sweep(asker: Any) -> None:
    report = run(asker, STREAM)
    assert report.frontier is None
    assert report.reliability == ()
    assert report.overall.auc is report.overall.judged_auc is None
