"""The graph of packed vectors: recall against a scan of the true ones, tombstones, shared slots."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import numpy as np
import pytest

from kindcache.cache.index.arena import SMALLEST as CHUNK
from kindcache.cache.index.coding import Coding, Rows
from kindcache.cache.index.flat import FlatIndex
from kindcache.cache.index.float16 import Float16
from kindcache.cache.index.int8 import Int8
from kindcache.cache.index.packed import PackedGraph
from kindcache.cache.index.partition import PartitionIndex
from kindcache.cache.ports import Index, Matrix

from .vectors import normalised, paraphrases, prompts

DIM = 48
Kind = type[Int8 | Float16]


@pytest.fixture(params=[Int8, Float16], ids=["int8", "float16"])
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


def _both(kind: Kind, count: int) -> tuple[PackedGraph, FlatIndex]:
    rows = prompts(count, DIM)
    graph, flat = kind(DIM).graph(0), FlatIndex(DIM)
    graph.add_many(range(count), rows)
    flat.add_many(range(count), rows)
    return graph, flat


def _recall(index: Index, reference: Index, queries: Matrix) -> float:
    firsts = [(index.search(query, 4)[0][0], reference.search(query, 1)[0][0]) for query in queries]
    return float(np.mean([found == best for found, best in firsts]))


def test_near_neighbours_are_found_after_growing_over_several_chunks(kind: Kind) -> None:
    graph, flat = _both(kind, 3000)
    assert graph.room == 3 * CHUNK
    assert _recall(graph, flat, paraphrases(prompts(3000, DIM)[::10])) >= 0.98


def test_removed_neighbours_do_not_hide_live_ones(kind: Kind) -> None:
    graph, flat = _both(kind, 3000)
    rows = prompts(3000, DIM)
    nearest_first = [label for label, _ in flat.search(rows[0], 1500)]
    for label in nearest_first[:-1]:
        graph.remove(label)
        flat.remove(label)
    assert graph.tombstones == 1499
    # Here many are about as near, and what is lost decides between them.
    best = flat.search(rows[0], 1)[0][1]
    assert best >= graph.search(rows[0], 4)[0][1] >= best - 0.02
    assert _recall(graph, flat, paraphrases(rows[::20])) >= 0.95


def test_replacing_leaves_one_live_vector_a_label(kind: Kind) -> None:
    graph, flat = _both(kind, 500)
    moved = prompts(500, DIM, seed=5)
    for label, row in enumerate(moved):
        graph.add(label, row)
        flat.add(label, row)
    assert len(graph) == 500
    assert _recall(graph, flat, paraphrases(moved)) >= 0.98


def test_copies_of_one_vector_do_not_hide_the_rest(kind: Kind) -> None:
    graph, flat = _both(kind, 1000)
    copied = prompts(1000, DIM)[3]
    rng = np.random.default_rng(6)
    for label in range(1000, 1300):
        # As one text embedded beside others: the last bits differ.
        graph.add(label, copied + rng.uniform(-1e-7, 1e-7, DIM).astype(np.float32))
    assert graph.room - CHUNK <= 2 * CHUNK
    assert len(graph) == 1300
    firsts = [graph.search(query, 4)[0][0] for query in paraphrases(prompts(1000, DIM)[::5])]
    right = [flat.search(query, 1)[0][0] for query in paraphrases(prompts(1000, DIM)[::5])]
    alike = {3, *range(1000, 1300)}
    assert np.mean([a == b or {a, b} <= alike for a, b in zip(firsts, right, strict=True)]) >= 0.98


def test_labels_that_share_a_vector_come_and_go_one_by_one(kind: Kind) -> None:
    graph, _ = _both(kind, 100)
    rows = prompts(100, DIM)
    graph.add_many([200, 201, 202], np.stack([rows[5]] * 3))
    graph.add_many([201, 300, 300], np.stack([rows[6], rows[7], rows[5]]))
    assert len(graph) == 104
    for gone, left in [(5, {200, 202, 300}), (202, {200, 300}), (300, {200})]:
        graph.remove(gone)
        found = graph.search(rows[5], len(left))
        assert {label for label, _ in found} == left
        assert all(similarity > 0.99 for _, similarity in found)
    graph.remove(200)
    assert graph.search(rows[5], 1)[0][1] < 0.99


def test_a_small_graph_that_cannot_reach_enough_is_scanned(kind: Kind) -> None:
    # Strewn evenly about one, they link to it alone.
    rng = np.random.default_rng(2)
    centre = prompts(1, 256)
    rows = normalised(np.vstack((centre, centre + 0.01 * rng.standard_normal((399, 256)))))
    graph = kind(256).graph(0)
    graph.add_many(range(400), rows)
    for label in range(200, 400):
        graph.remove(label)
    assert {label for label, _ in graph.search(rows[0], 200)} == set(range(200))


def test_memory_stays_bounded_even_if_nobody_compacts(kind: Kind) -> None:
    graph, rows = kind(8).graph(0), prompts(200, 8)
    for turn in range(100):
        for label in range(200):
            graph.add(label, rows[(label + turn) % 200])
        for label in range(0, 200, 3):
            graph.remove(label)
    assert graph.room <= (PackedGraph.WORST + 1) * 200 + 2 * CHUNK
    assert len(graph) == 133


def test_a_snapshot_may_be_read_in_a_thread_while_the_owner_changes_the_graph(kind: Kind) -> None:
    graph, _ = _both(kind, 2000)
    coding, rows = kind(DIM), prompts(2000, DIM)
    slices = graph.snapshot()
    read: dict[int, Rows] = {}

    def reader() -> None:
        for labels, packed in slices:
            read.update(zip(labels.tolist(), packed, strict=True))

    worker = Thread(target=reader)
    worker.start()
    for label in range(0, 2000, 2):
        graph.remove(label)
        graph.add(5000 + label, rows[label])
    worker.join()
    expected = coding.encode(rows)
    assert set(read) == set(range(2000))
    assert all(read[label].tobytes() == expected[label].tobytes() for label in read)


def test_building_and_compacting_lose_nothing_more_of_a_vector(kind: Kind) -> None:
    index = PartitionIndex(DIM, graph_from=100, coding=kind(DIM))
    rows = prompts(1500, DIM)
    index.add_many(range(1500), rows)
    before = {label: index.search(rows[label], 1)[0] for label in range(1000, 1500, 50)}
    for removed in (0, 600):
        for label in range(removed):
            index.remove(label)
        build = index.start_build()
        build.run()
        assert index.finish_build(build)
        assert index.is_graph
        assert index.tombstones == 0
        assert before == {label: index.search(rows[label], 1)[0] for label in before}


def test_a_batch_with_a_bad_row_adds_nothing(kind: Callable[[int], Coding]) -> None:
    graph = kind(DIM).graph(0)
    rows = prompts(3, DIM, seed=3)
    rows[1, 5] = np.nan
    with pytest.raises(ValueError, match="finite"):
        graph.add_many([50, 51, 52], rows)
    with pytest.raises(ValueError, match="expected"):
        graph.add_many([50, 51], prompts(3, DIM))
    assert len(graph) == 0


def test_labels_of_any_size_are_told_apart(kind: Kind) -> None:
    graph, rows = kind(DIM).graph(0), prompts(6, DIM)
    graph.add_many([5, (1 << 32) + 5, 6], rows[:3])
    graph.add_many([(1 << 62) + 5, 1 << 31], rows[[0, 0]])
    graph.remove(5)
    assert {label for label, _ in graph.search(rows[0], 2)} == {(1 << 62) + 5, 1 << 31}
    assert graph.search(rows[1], 1)[0][0] == (1 << 32) + 5
    graph.remove((1 << 62) + 5)
    assert graph.search(rows[0], 1)[0][0] == 1 << 31
    assert len(graph) == 3
