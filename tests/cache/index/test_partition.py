"""A partition's own index: builds beside the one that serves, in any order of events."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindcache.cache.index.build import Build
from kindcache.cache.index.flat import FlatIndex
from kindcache.cache.index.partition import DEAD_LEAST, PartitionIndex

from .vectors import paraphrases, prompts, recall

DIM = 16
ROWS = prompts(64, DIM)


def _build(index: PartitionIndex) -> None:
    build = index.start_build()
    build.run()
    assert index.finish_build(build)


def test_it_becomes_a_graph_and_contiguous_again_only_by_a_build() -> None:
    index = PartitionIndex(DIM, graph_from=40)
    index.add_many(range(39), ROWS[:39])
    assert not index.due
    index.add(39, ROWS[39])
    assert index.due
    assert not index.is_graph
    _build(index)
    assert index.is_graph
    assert not index.due
    for label in range(30):
        index.remove(label)
    assert not index.due
    index.remove(30)
    assert index.due
    assert index.is_graph
    _build(index)
    assert not index.is_graph
    assert not index.due
    assert {label for label, _ in index.search(ROWS[0], 64)} == set(range(31, 40))


def test_tombstones_make_a_compaction_due_that_removes_them() -> None:
    index = PartitionIndex(DIM, graph_from=100)
    index.add_many(range(600), prompts(600, DIM))
    _build(index)
    for label in range(DEAD_LEAST - 1):
        index.remove(label)
    assert not index.due
    index.remove(DEAD_LEAST)
    assert index.due
    _build(index)
    assert index.tombstones == 0
    assert len(index) == 600 - DEAD_LEAST


_events = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 30), st.integers(0, 63)),
        st.tuples(st.just("remove"), st.integers(0, 30), st.just(0)),
        st.tuples(st.sampled_from(["start", "run", "finish", "fail"]), st.just(0), st.just(0)),
    ),
    max_size=150,
)


@settings(deadline=None, max_examples=150)
@given(_events)
def test_no_change_is_lost_however_builds_and_changes_interleave(
    events: list[tuple[str, int, int]],
) -> None:
    index, model = PartitionIndex(DIM, graph_from=8), FlatIndex(DIM)
    build: Build | None = None
    for event, label, row in events:
        if event == "add":
            index.add(label, ROWS[row])
            model.add(label, ROWS[row])
        elif event == "remove":
            index.remove(label)
            model.remove(label)
        elif event == "start" and build is None:
            build = index.start_build()
        elif event == "run" and build is not None:
            build.run()
        elif (event == "finish" and build is not None and index.finish_build(build)) or (
            event == "fail" and build is not None
        ):
            if event == "fail":
                index.abandon_build()
            build = None
        query = ROWS[label]
        assert dict(index.search(query, 31)) == pytest.approx(
            dict(model.search(query, 31)), abs=1e-5
        )
        assert len(index) == len(model)


def test_a_build_that_failed_leaves_the_old_index_in_place() -> None:
    index = PartitionIndex(DIM, graph_from=8)
    index.add_many(range(20), ROWS[:20])
    build = index.start_build()
    build.cancel()
    build.run()
    assert index.finish_build(build)
    assert not index.is_graph
    assert index.due
    assert dict(index.search(ROWS[3], 1)) == pytest.approx({3: 1.0}, abs=1e-6)


def test_a_long_tail_of_changes_is_played_by_the_worker_not_the_owner() -> None:
    index = PartitionIndex(DIM, graph_from=8)
    index.add_many(range(20), ROWS[:20])
    build = index.start_build()
    build.run()
    for label in range(1000):
        index.add(100 + label, ROWS[label % 64])
    assert not index.finish_build(build)
    assert not index.is_graph
    build.run()
    assert index.finish_build(build)
    assert index.is_graph
    assert len(index) == 1020


def test_ten_times_the_capacity_may_pass_through_while_threads_compact() -> None:
    dim, capacity, turnover = 48, 800, 10
    rows = prompts(capacity * (turnover + 1), dim)
    queries = np.random.default_rng(3)
    index, reference = PartitionIndex(dim, graph_from=100), FlatIndex(dim)
    running: tuple[Build, Future[None]] | None = None
    compactions, most_dead = 0, 0
    with ThreadPoolExecutor(1) as pool:
        for label, row in enumerate(rows):
            index.add(label, row)
            reference.add(label, row)
            if label >= capacity:
                index.remove(label - capacity)
                reference.remove(label - capacity)
            if index.due:
                build = index.start_build()
                running = build, pool.submit(build.run)
            elif running is not None and (running[1].done() or label % 100 == 0):
                build, future = running
                future.result()  # a writer this busy has to wait for the worker now and then
                if index.finish_build(build):
                    compactions, running = compactions + 1, None
                else:
                    running = build, pool.submit(build.run)
            most_dead = max(most_dead, index.tombstones)
            if label % capacity == capacity - 1:
                live = rows[max(0, label - capacity + 1) : label + 1]
                chosen = live[queries.integers(0, len(live), 100)]
                assert recall(index, reference, paraphrases(chosen)) >= 0.95
    assert len(index) == capacity
    assert compactions >= 3
    assert most_dead < 5 * capacity
