"""What every index promises, measured against a model that compares with everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.index.coding import Coding
from kindcache.cache.index.flat import FlatIndex
from kindcache.cache.index.float16 import Float16
from kindcache.cache.index.float32 import Float32
from kindcache.cache.index.hnsw import HnswIndex
from kindcache.cache.index.int8 import Int8
from kindcache.cache.index.partition import PartitionIndex
from kindcache.cache.ports import Index, PartitionKey, Vector

DIM = 8
MINE = PartitionKey(b"mine".ljust(16))
OTHERS = [PartitionKey(f"other{i}".encode().ljust(16)) for i in range(3)]
FOREIGN = 1_000_000  # labels from here on belong to other partitions


def _unit(rng: np.random.Generator, count: int) -> list[Vector]:
    rows = rng.standard_normal((count, DIM)).astype(np.float32)
    return list(rows / np.linalg.norm(rows, axis=1, keepdims=True))


_POOL = _unit(np.random.default_rng(7), 24)
POOL = [*_POOL, _POOL[0].copy(), _POOL[0].copy(), -_POOL[1]]  # duplicates and an opposite


class OnePartition:
    """A category index seen through one partition, with the same vectors in others."""

    def __init__(
        self,
        *,
        slab_rows: int = 4,
        graph_from: int = 12,
        coding: Callable[[int], Coding] = Float32,
    ) -> None:
        self.index = CategoryIndex(DIM, slab_rows=slab_rows, graph_from=graph_from, coding=coding)
        for number, other in enumerate(OTHERS):
            for position, vector in enumerate(POOL[: 3 + 10 * number]):
                self.index.add(other, FOREIGN + position, vector)
        self.foreign = len(self.index)
        self.run_builds()

    def run_builds(self) -> None:
        while (build := self.index.next_build()) is not None:
            build.run()
            self.index.finish_build(build)

    def __len__(self) -> int:
        return len(self.index) - self.foreign

    def add(self, label: int, vector: Vector) -> None:
        self.index.add(MINE, label, vector)
        self.run_builds()

    def remove(self, label: int) -> None:
        self.index.remove(MINE, label)
        self.run_builds()

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        return self.index.search(MINE, vector, k)


@dataclass(frozen=True)
class Kind:
    """A kind of index. A similarity lies at most ``lost`` below the true one, and never above."""

    make: Callable[[], Index]
    lost: float = 1e-6

    def __call__(self) -> Index:
        return self.make()


# Of 8 dimensions a byte loses at most sqrt(8) / 2 of 1 / 127.
IN_2_BYTES, IN_1_BYTE = 0.0011, 0.0125

KINDS: dict[str, Kind] = {
    "flat": Kind(lambda: FlatIndex(DIM)),
    "hnsw": Kind(lambda: HnswIndex(DIM)),
    "partition": Kind(lambda: PartitionIndex(DIM, graph_from=8)),
    "category-slab": Kind(lambda: OnePartition(slab_rows=64, graph_from=100)),
    "category": Kind(OnePartition),
    "float16-flat": Kind(lambda: FlatIndex(DIM, Float16(DIM)), IN_2_BYTES),
    "float16-graph": Kind(lambda: Float16(DIM).graph(0), IN_2_BYTES),
    "float16-category": Kind(lambda: OnePartition(coding=Float16), IN_2_BYTES),
    "int8-flat": Kind(lambda: FlatIndex(DIM, Int8(DIM)), IN_1_BYTE),
    "int8-graph": Kind(lambda: Int8(DIM).graph(0), IN_1_BYTE),
    "int8-category-slab": Kind(
        lambda: OnePartition(slab_rows=64, graph_from=100, coding=Int8), IN_1_BYTE
    ),
    "int8-category": Kind(lambda: OnePartition(coding=Int8), IN_1_BYTE),
}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def _agrees(index: Index, model: dict[int, Vector], query: Vector, k: int, lost: float) -> None:
    found = index.search(query, k)
    labels = [label for label, _ in found]
    similarities = [similarity for _, similarity in found]
    truth = {label: float(vector @ query) for label, vector in model.items()}
    assert len(index) == len(model)
    assert len(found) == min(k, len(model))
    assert len(set(labels)) == len(labels)
    assert set(labels) <= set(model)
    assert similarities == sorted(similarities, reverse=True)
    assert all(-1.0 <= similarity <= 1.0 for similarity in similarities)
    assert similarities == pytest.approx([truth[label] for label in labels], abs=lost)
    assert similarities == pytest.approx(sorted(truth.values(), reverse=True)[:k], abs=2 * lost)
    assert all(similarity <= truth[label] + 1e-6 for label, similarity in found)


_labels = st.integers(0, 20)
_vectors = st.integers(0, len(POOL) - 1)
_operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _labels, _vectors),
        st.tuples(st.just("remove"), _labels, st.just(0)),
        st.tuples(st.just("search"), st.integers(1, 30), _vectors),
    ),
    max_size=120,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(operations=_operations)
def test_any_sequence_of_operations_agrees_with_the_model(
    kind: str, operations: list[tuple[str, int, int]]
) -> None:
    index, model = KINDS[kind](), dict[int, Vector]()
    for operation, number, vector in operations:
        if operation == "add":
            index.add(number, POOL[vector])
            model[number] = POOL[vector]
        elif operation == "remove":
            index.remove(number)
            model.pop(number, None)
        else:
            _agrees(index, model, POOL[vector], number, KINDS[kind].lost)
    _agrees(index, model, POOL[3], 5, KINDS[kind].lost)


def test_an_empty_index_finds_nothing(make: Kind) -> None:
    index = make()
    assert index.search(POOL[0], 5) == []
    assert len(index) == 0
    index.remove(3)
    assert len(index) == 0


def test_nothing_is_found_after_everything_was_removed_and_it_fills_again(
    make: Kind,
) -> None:
    index = make()
    for _ in range(4):
        for label, vector in enumerate(POOL):
            index.add(label, vector)
        for label in range(len(POOL)):
            index.remove(label)
        assert len(index) == 0
        assert index.search(POOL[0], 5) == []
    index.add(5, POOL[5])
    assert dict(index.search(POOL[5], 3)) == pytest.approx({5: 1.0}, abs=make.lost)


@pytest.mark.parametrize("k", [0, -1])
def test_no_neighbours_are_returned_when_none_are_asked_for(make: Kind, k: int) -> None:
    index = make()
    index.add(1, POOL[1])
    assert index.search(POOL[1], k) == []


def test_a_replaced_label_is_found_at_its_new_place_only(make: Kind) -> None:
    index = make()
    for label, vector in enumerate(POOL[:10]):
        index.add(label, vector)
    index.add(4, POOL[20])
    assert len(index) == 10
    found = dict(index.search(POOL[4], 30))
    assert found[4] == pytest.approx(float(POOL[4] @ POOL[20]), abs=make.lost)
    assert index.search(POOL[20], 1)[0][0] == 4


def test_equal_vectors_are_all_found(make: Kind) -> None:
    index = make()
    for label in range(40):
        index.add(label, POOL[0])
    assert {label for label, _ in index.search(POOL[0], 40)} == set(range(40))
    for label in range(39):
        index.remove(label)
    assert dict(index.search(POOL[0], 5)) == pytest.approx({39: 1.0}, abs=make.lost)


def test_the_callers_array_may_change_afterwards(make: Kind) -> None:
    index = make()
    for label in range(20):
        vector = POOL[label].copy()
        index.add(label, vector)
        vector[:] = 0.0
    assert dict(index.search(POOL[7], 1)) == pytest.approx({7: 1.0}, abs=make.lost)


_BAD = {
    "too short": np.ones(DIM - 1, dtype=np.float32) / DIM,
    "two-dimensional": POOL[0][None],
    "not a number": np.full(DIM, np.nan, dtype=np.float32),
    "one value not a number": np.where(np.arange(DIM) == 2, np.nan, POOL[0]).astype(np.float32),
    "infinite": np.full(DIM, np.inf, dtype=np.float32),
    "longer than a unit vector": POOL[0] * np.float32(1.1),
}


@pytest.mark.parametrize("bad", _BAD.values(), ids=_BAD)
@pytest.mark.parametrize("size", [0, 1, 6, 20])
def test_a_vector_that_cannot_be_right_is_refused_and_changes_nothing(
    make: Kind, bad: Vector, size: int
) -> None:
    index, model = make(), dict(enumerate(POOL[:size]))
    for label, vector in model.items():
        index.add(label, vector)
    with pytest.raises(ValueError, match="vector"):
        index.add(0, bad)
    with pytest.raises(ValueError, match="vector"):
        index.add(999, bad)
    with pytest.raises(ValueError, match="vector"):
        index.search(bad, 1)
    _agrees(index, model, POOL[2], 30, make.lost)


@pytest.mark.parametrize("label", [-1, 1 << 63])
def test_a_label_out_of_range_is_refused_and_changes_nothing(make: Kind, label: int) -> None:
    index = make()
    index.add(1, POOL[1])
    with pytest.raises(ValueError, match="label"):
        index.add(label, POOL[2])
    _agrees(index, {1: POOL[1]}, POOL[2], 5, make.lost)
