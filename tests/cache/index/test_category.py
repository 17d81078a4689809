"""A category's index: partitions never see each other, whatever their size and stage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kindcache.cache.index.build import Build
from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.index.flat import FlatIndex
from kindcache.cache.ports import PartitionKey

from .vectors import paraphrases, prompts

DIM = 8
ROWS = prompts(40, DIM)
KEYS = [PartitionKey(bytes([number]) * 16) for number in range(4)]

_keys = st.sampled_from(KEYS)
_labels = st.integers(0, 25)
_rows = st.integers(0, 39)


class Partitions(RuleBasedStateMachine):
    """A category index beside one reference index a partition."""

    def __init__(self) -> None:
        super().__init__()
        self.index = CategoryIndex(DIM, slab_rows=4, graph_from=10)
        self.model = {key: FlatIndex(DIM) for key in KEYS}
        self.build: Build | None = None

    @rule(key=_keys, label=_labels, row=_rows)
    def add(self, key: PartitionKey, label: int, row: int) -> None:
        self.index.add(key, label, ROWS[row])
        self.model[key].add(label, ROWS[row])

    @rule(key=_keys, labels=st.lists(_labels, max_size=14), row=_rows)
    def add_many(self, key: PartitionKey, labels: list[int], row: int) -> None:
        rows = np.roll(ROWS, row, axis=0)[: len(labels)]
        self.index.add_many(key, labels, rows)
        self.model[key].add_many(labels, rows)

    @rule(key=_keys, label=_labels)
    def remove(self, key: PartitionKey, label: int) -> None:
        self.index.remove(key, label)
        self.model[key].remove(label)

    @rule(key=_keys, first=_labels)
    def remove_most(self, key: PartitionKey, first: int) -> None:
        for label in range(first, 26):
            self.remove(key, label)

    @rule(key=_keys)
    def drop(self, key: PartitionKey) -> None:
        self.index.drop(key)
        self.model[key] = FlatIndex(DIM)

    @rule()
    def start_build(self) -> None:
        fetched = self.index.next_build()
        if self.build is not None:
            assert fetched is None
        else:
            self.build = fetched

    @rule(run=st.booleans())
    def end_build(self, run: bool) -> None:
        if self.build is not None:
            if run:
                self.build.run()
            self.index.finish_build(self.build)
            self.build = None

    @rule(key=_keys, row=_rows, k=st.integers(1, 30))
    def search(self, key: PartitionKey, row: int, k: int) -> None:
        found = self.index.search(key, ROWS[row], k)
        expected = self.model[key].search(ROWS[row], k)
        assert [similarity for _, similarity in found] == pytest.approx(
            [similarity for _, similarity in expected], abs=1e-5
        )
        everything = dict(self.model[key].search(ROWS[row], 40))
        assert all(everything[label] == pytest.approx(score, abs=1e-5) for label, score in found)

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.index) == sum(map(len, self.model.values()))
        assert self.index.partitions == sum(len(model) > 0 for model in self.model.values())
        assert all(self.index.size(key) == len(model) for key, model in self.model.items())


TestPartitions = Partitions.TestCase
TestPartitions.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def _run_builds(index: CategoryIndex) -> int:
    count = 0
    while (build := index.next_build()) is not None:
        build.run()
        index.finish_build(build)
        count += 1
    return count


def test_equal_vectors_in_many_partitions_are_each_found_in_their_own_only() -> None:
    index = CategoryIndex(DIM, graph_from=70)
    keys = [PartitionKey(number.to_bytes(16)) for number in range(300)]
    for size, key in enumerate(keys):
        for position in range(size % 90 + 1):
            index.add(key, size * 1000 + position, ROWS[position % 40])
    assert _run_builds(index) > 0
    for size, key in enumerate(keys):
        found = index.search(key, ROWS[0], 1000)
        assert {label // 1000 for label, _ in found} == {size}
        assert len(found) == size % 90 + 1


def test_graphs_find_near_neighbours_in_their_own_partition() -> None:
    dim, count = 32, 1500
    index, reference = CategoryIndex(dim, graph_from=1000), FlatIndex(dim)
    mine, others = prompts(count, dim, seed=1), prompts(count, dim, seed=2)
    index.add_many(KEYS[0], range(count), mine)
    index.add_many(KEYS[1], range(count), others)
    reference.add_many(range(count), mine)
    assert _run_builds(index) == 2
    right = 0
    for query in paraphrases(mine[::10]):
        right += index.search(KEYS[0], query, 4)[0][0] == reference.search(query, 1)[0][0]
    assert right >= 0.97 * 150


def test_an_unknown_partition_has_nothing() -> None:
    index = CategoryIndex(DIM)
    index.add(KEYS[0], 1, ROWS[0])
    assert index.search(KEYS[1], ROWS[0], 5) == []
    index.remove(KEYS[1], 1)
    index.drop(KEYS[1])
    assert len(index) == 1


def test_a_dropped_partition_stays_dropped_when_its_build_ends() -> None:
    index = CategoryIndex(DIM, slab_rows=4, graph_from=10)
    index.add_many(KEYS[0], range(40), ROWS)
    build = index.next_build()
    assert build is not None
    index.drop(KEYS[0])
    index.add(KEYS[0], 7, ROWS[7])
    build.run()
    index.finish_build(build)
    assert dict(index.search(KEYS[0], ROWS[7], 50)) == pytest.approx({7: 1.0}, abs=1e-6)
    assert index.next_build() is None


def test_one_build_at_a_time_and_a_failed_one_is_tried_after_the_next_change() -> None:
    index = CategoryIndex(DIM, slab_rows=4, graph_from=10)
    index.add_many(KEYS[0], range(20), ROWS[:20])
    index.add_many(KEYS[1], range(20), ROWS[:20])
    first = index.next_build()
    assert first is not None
    assert index.next_build() is None
    index.finish_build(first)  # it never ran
    second = index.next_build()
    assert second is not None
    second.run()
    index.finish_build(second)
    assert index.next_build() is None
    index.add(KEYS[0], 30, ROWS[30])
    assert _run_builds(index) == 1


def test_a_build_that_lags_behind_its_writer_is_handed_out_again() -> None:
    index = CategoryIndex(DIM, slab_rows=4, graph_from=10)
    index.add_many(KEYS[0], range(20), ROWS[:20])
    build = index.next_build()
    assert build is not None
    build.run()
    index.add_many(KEYS[0], range(100, 400), np.tile(ROWS, (8, 1))[:300])
    index.finish_build(build)
    assert index.next_build() is build
    assert index.next_build() is None
    build.run()
    index.finish_build(build)
    assert index.next_build() is None
    assert len(index.search(KEYS[0], ROWS[0], 1000)) == 320


def test_a_batch_with_a_bad_row_adds_nothing() -> None:
    index = CategoryIndex(DIM, slab_rows=4, graph_from=10)
    for size in (2, 20):
        rows = ROWS[:size].copy()
        rows[1, 2] = np.nan
        with pytest.raises(ValueError, match="finite"):
            index.add_many(KEYS[0], range(size), rows)
    assert len(index) == 0
    assert index.partitions == 0


@pytest.mark.parametrize("labels", [[-1, 2], [1, 1 << 63]])
def test_a_batch_with_a_label_out_of_range_adds_nothing(labels: list[int]) -> None:
    index = CategoryIndex(DIM)
    with pytest.raises(ValueError, match="label"):
        index.add_many(KEYS[0], labels, ROWS[:2])
    assert len(index) == 0


@pytest.mark.parametrize(("slab_rows", "graph_from"), [(0, 100), (65, 100), (10, 10)])
def test_limits_that_cannot_work_are_refused(slab_rows: int, graph_from: int) -> None:
    with pytest.raises(ValueError, match="slab_rows"):
        CategoryIndex(DIM, slab_rows=slab_rows, graph_from=graph_from)
