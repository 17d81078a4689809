"""The model of a fleet behaves as arithmetic says where that is known."""

from __future__ import annotations

import numpy as np
import pytest
from fleet_model import (
    Costs,
    Demand,
    Traffic,
    alone,
    hit_rate,
    layout,
    modulo,
    moved,
    ring,
    traffic,
)

COSTS = Costs(
    exact_us=100.0,
    semantic_us=2_000.0,
    miss_us=4_000.0,
    follow_us=100.0,
    follow_bytes=1_000.0,
    base_bytes=3e8,
    entry_bytes=2_000.0,
    redis_entry_bytes=2_000.0,
    redis_in_bytes=2_000.0,
    redis_miss_us=40.0,
)
DEMAND = Demand(rate=1_000.0, entries=10_000, semantic_share=0.4, cores=2.0, use=0.7)


def small() -> Traffic:
    return traffic(200, 0.8, 100_000, 0.9)


def test_traffic_adds_up() -> None:
    asked = traffic(1_000, 0.8, 1_000_000, 0.9)
    assert asked.by_scope.sum() == pytest.approx(1.0)
    assert asked.number.sum() == pytest.approx(1_000_000, rel=0.02)
    assert (np.diff(asked.by_scope) <= 1e-12).all()


def test_hits_of_equally_popular_questions_are_the_share_that_has_room() -> None:
    asked = Traffic(np.array([[1_000.0]]), np.array([[0.001]]))
    assert hit_rate(asked, 250) == pytest.approx(0.25, abs=0.001)
    assert hit_rate(asked, 1_000) == pytest.approx(1.0, abs=1e-6)


def test_more_room_never_hits_less() -> None:
    rates = [hit_rate(small(), room) for room in (100, 1_000, 10_000, 50_000)]
    assert rates == sorted(rates)
    assert rates[0] < rates[-1] < 1.0


def test_cells_lose_few_hits_and_replicas_apart_many() -> None:
    asked = small()
    whole = hit_rate(asked, DEMAND.entries)
    of = ring(200, 8, seed=1)
    cells = layout(asked, of, DEMAND, COSTS)
    assert whole - 0.03 < cells.hit_rate <= whole + 1e-9
    assert alone(asked, 16, DEMAND) < cells.hit_rate
    assert alone(asked, 1, DEMAND) == pytest.approx(whole)


def test_everybody_following_everybody_has_an_end() -> None:
    asked = small()
    flood = Demand(rate=1e6, entries=10_000, semantic_share=0.4, cores=2.0, use=0.7)
    assert layout(asked, np.zeros(200, dtype=np.int64), flood, COSTS).replicas == 0
    assert layout(asked, np.zeros(200, dtype=np.int64), DEMAND, COSTS).replicas >= 2


def test_one_cell_more_moves_about_its_share() -> None:
    asked = traffic(5_000, 0.2, 50_000, 0.9)  # nobody is big, so that scopes and requests agree
    share = moved(asked, ring(5_000, 9, seed=1), ring(5_000, 10, seed=1))
    assert 0.05 < share < 0.15
    assert moved(asked, modulo(5_000, 9, seed=1), modulo(5_000, 10, seed=1)) > 0.8


def test_a_ring_is_the_same_each_time() -> None:
    assert (ring(500, 7, seed=3) == ring(500, 7, seed=3)).all()
    assert set(ring(500, 7, seed=3)) == set(range(7))
