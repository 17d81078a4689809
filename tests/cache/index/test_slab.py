"""Small partitions in common chunks: nothing is mixed up, nothing is lost, room is given back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kindcache.cache.index.float32 import Float32
from kindcache.cache.index.slab import CHUNK, MOST, Extent, Slab
from kindcache.cache.ports import Matrix

DIM = 2


def _vector(label: int) -> Matrix:
    return np.array([[label, -label]], dtype=np.float32)


def _content(slab: Slab, extent: Extent) -> dict[int, tuple[float, ...]]:
    labels, rows = slab.read(extent)
    return {label: tuple(row) for label, row in zip(labels.tolist(), rows.tolist(), strict=True)}


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "free"]), st.integers(0, 5), st.integers(0, 99))
    )
)
def test_partitions_keep_exactly_what_was_put_into_them(
    operations: list[tuple[str, int, int]],
) -> None:
    slab, extents, model = Slab(Float32(DIM)), dict[int, Extent](), dict[int, set[int]]()
    for operation, partition, label in operations:
        extent, labels = extents.get(partition), model.setdefault(partition, set())
        if operation == "add" and len(labels) < MOST:
            labels.add(label)
            extents[partition] = (
                slab.store_one(label, _vector(label))
                if extent is None
                else slab.add(extent, label, _vector(label))
            )
        elif operation == "remove" and extent is not None:
            labels.discard(label)
            rest = slab.remove(extent, label)
            if rest is None:
                del extents[partition]
            else:
                extents[partition] = rest
        elif operation == "free" and extent is not None:
            labels.clear()
            slab.free(extents.pop(partition))
        for number, kept in model.items():
            if number in extents:
                assert Slab.size(extents[number]) == len(kept)
                assert _content(slab, extents[number]) == {x: (x, -x) for x in kept}
            else:
                assert not kept


def test_rows_are_reused_and_emptied_chunks_given_back() -> None:
    slab = Slab(Float32(DIM))
    singles = [slab.store_one(label, _vector(label)) for label in range(10 * CHUNK)]
    assert slab.rows_allocated == 10 * CHUNK
    for extent in singles[: 5 * CHUNK]:
        slab.free(extent)
    assert slab.rows_allocated == 5 * CHUNK
    labels = np.arange(MOST)
    rows = np.zeros((MOST, DIM), dtype=np.float32)
    blocks = [slab.store(labels, rows) for _ in range(5 * CHUNK // MOST)]
    assert slab.rows_allocated == 10 * CHUNK
    for extent in [*blocks, *singles[5 * CHUNK :]]:
        slab.free(extent)
    assert slab.rows_allocated == 0


def test_churn_does_not_take_more_room() -> None:
    slab, rng = Slab(Float32(DIM)), np.random.default_rng(1)
    extents = [slab.store_one(label, _vector(label)) for label in range(CHUNK)]
    for label in range(20 * CHUNK):
        at = int(rng.integers(len(extents)))
        slab.free(extents[at])
        extents[at] = slab.store_one(label, _vector(label))
    assert slab.rows_allocated <= 2 * CHUNK


def test_a_partition_that_shrinks_takes_a_smaller_block() -> None:
    slab = Slab(Float32(DIM))
    kept = [
        slab.store(np.arange(MOST), np.zeros((MOST, DIM), dtype=np.float32))
        for _ in range(CHUNK // MOST)
    ]
    for at, extent in enumerate(kept):
        for label in range(MOST - 1):
            smaller = slab.remove(extent, label)
            assert smaller is not None
            extent = smaller  # noqa: PLW2901 - the old extent is void
        kept[at] = extent
    assert slab.rows_allocated <= 2 * CHUNK
    assert all(_content(slab, extent) == {MOST - 1: (0.0, 0.0)} for extent in kept)
