"""The graph: recall against the reference, tombstones, growth, and what hnswlib refuses."""

from __future__ import annotations

import numpy as np
import pytest

from kindcache.cache.index.flat import FlatIndex
from kindcache.cache.index.hnsw import HnswIndex
from kindcache.cache.ports import Matrix

from .vectors import normalised, paraphrases, prompts, recall

DIM = 48


def _both(count: int) -> tuple[HnswIndex, FlatIndex]:
    rows = prompts(count, DIM)
    graph, flat = HnswIndex(DIM), FlatIndex(DIM)
    graph.add_many(range(count), rows)
    flat.add_many(range(count), rows)
    return graph, flat


def test_near_neighbours_are_found_after_growing_from_nothing() -> None:
    graph, flat = _both(3000)
    assert graph.room < 2 * 3000
    assert recall(graph, flat, paraphrases(prompts(3000, DIM)[::10])) >= 0.98


def test_removed_neighbours_do_not_hide_live_ones() -> None:
    graph, flat = _both(3000)
    rows = prompts(3000, DIM)
    nearest_first = [label for label, _ in flat.search(rows[0], 1500)]
    for label in nearest_first[:-1]:
        graph.remove(label)
        flat.remove(label)
    assert graph.tombstones == 1499
    assert graph.search(rows[0], 4)[0] == pytest.approx(flat.search(rows[0], 1)[0], abs=1e-5)
    assert recall(graph, flat, paraphrases(rows[::20])) >= 0.95


def test_replacing_leaves_one_live_vector_a_label() -> None:
    graph, flat = _both(500)
    moved = prompts(500, DIM, seed=5)
    for label, row in enumerate(moved):
        graph.add(label, row)
        flat.add(label, row)
    assert len(graph) == 500
    assert recall(graph, flat, paraphrases(moved)) >= 0.98


def test_as_many_neighbours_as_there_are_can_be_had() -> None:
    graph, flat = _both(1000)
    for label in range(0, 1000, 2):
        graph.remove(label)
        flat.remove(label)
    query = prompts(1, DIM, seed=9)[0]
    found = graph.search(query, 10_000)
    assert len(found) >= 500 * 0.99
    assert {label for label, _ in found} <= set(range(1, 1000, 2))


def _star(count: int) -> Matrix:
    """Strew vectors evenly about one: they link to it alone, and some cannot be reached."""
    rng = np.random.default_rng(2)
    centre = prompts(1, 256)
    return normalised(np.vstack((centre, centre + 0.01 * rng.standard_normal((count - 1, 256)))))


def test_a_graph_that_cannot_reach_enough_gives_fewer_neighbours() -> None:
    rows = _star(400)
    graph = HnswIndex(256)
    graph.add_many(range(400), rows)
    found = graph.search(rows[0], 400)
    labels = [label for label, _ in found]
    assert 0 < len(found) < 400, "every vector was reached: this shows nothing"
    assert len(set(labels)) == len(labels)
    assert [similarity for _, similarity in found] == pytest.approx(
        rows[labels] @ rows[0], abs=1e-5
    )


def test_a_small_graph_that_cannot_reach_enough_is_scanned() -> None:
    rows = _star(400)
    graph = HnswIndex(256)
    graph.add_many(range(400), rows)
    for label in range(200, 400):
        graph.remove(label)
    assert {label for label, _ in graph.search(rows[0], 200)} == set(range(200))


def test_copies_of_one_vector_do_not_hide_the_rest() -> None:
    graph, flat = _both(1000)
    copied = prompts(1000, DIM)[3]
    for label in range(1000, 1300):
        graph.add(label, copied)
        flat.add(label, copied)
    assert recall(graph, flat, paraphrases(prompts(1000, DIM)[::5])) >= 0.98


def test_memory_stays_bounded_even_if_nobody_compacts() -> None:
    graph = HnswIndex(8)
    rows = prompts(200, 8)
    for turn in range(100):
        for label in range(200):
            graph.add(label, rows[(label + turn) % 200])
        for label in range(0, 200, 3):
            graph.remove(label)
    assert graph.room <= 2 * (HnswIndex.WORST + 1) * 200 + 200
    assert len(graph) == 133


def test_a_snapshot_leaves_out_what_is_removed_while_it_is_read() -> None:
    graph, _ = _both(300)
    slices = graph.snapshot()
    first, _ = next(slices)
    for label in range(300):
        if label not in (100, 299):
            graph.remove(label)
    rest = [label for labels, _ in slices for label in labels.tolist()]
    assert first.tolist() == list(range(len(first)))
    assert {100, 299} <= set(rest)


def test_a_slice_read_after_a_removal_still_has_the_others() -> None:
    graph, flat = _both(300)
    slices = graph.snapshot()
    for label in (3, 40, 41):
        graph.remove(label)
    read = {
        label: row
        for labels, rows in slices
        for label, row in zip(labels.tolist(), rows, strict=True)
    }
    assert set(read) == set(range(300)) - {3, 40, 41}
    _, rows = flat.content()
    assert all(np.array_equal(read[label], rows[label]) for label in read)


def test_labels_that_share_a_vector_come_and_go_one_by_one() -> None:
    graph, _ = _both(100)
    rows = prompts(100, DIM)
    graph.add_many([200, 201, 202], np.stack([rows[5]] * 3))
    graph.add_many([201, 300, 300], np.stack([rows[6], rows[7], rows[5]]))
    assert len(graph) == 104
    for gone, left in [(5, {200, 202, 300}), (202, {200, 300}), (300, {200})]:
        graph.remove(gone)
        found = graph.search(rows[5], len(left))
        assert {label for label, _ in found} == left
        assert all(similarity == pytest.approx(1.0, abs=1e-6) for _, similarity in found)
    graph.remove(200)
    assert graph.search(rows[5], 1)[0][1] < 0.99


def test_a_batch_with_a_bad_row_adds_nothing() -> None:
    graph, _ = _both(20)
    rows = prompts(3, DIM, seed=3)
    rows[1, 5] = np.nan
    with pytest.raises(ValueError, match="finite"):
        graph.add_many([50, 51, 52], rows)
    with pytest.raises(ValueError, match="expected"):
        graph.add_many([50, 51], prompts(3, DIM))
    assert len(graph) == 20


def test_labels_of_any_size_are_told_apart() -> None:
    graph, rows = HnswIndex(DIM), prompts(6, DIM)
    graph.add_many([5, (1 << 32) + 5, 6], rows[:3])
    graph.add_many([(1 << 62) + 5, 1 << 31], rows[[0, 0]])
    graph.remove(5)
    assert {label for label, _ in graph.search(rows[0], 2)} == {(1 << 62) + 5, 1 << 31}
    assert graph.search(rows[1], 1)[0][0] == (1 << 32) + 5
    graph.remove((1 << 62) + 5)
    assert graph.search(rows[0], 1)[0][0] == 1 << 31
    assert len(graph) == 3
