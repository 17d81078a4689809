import random

import pytest

from kindcache.adapters.evaluation.curves import EDGES, MAX_POINTS, curve, reliability
from kindcache.adapters.evaluation.intervals import Share


def test_predictions_fall_into_bins_with_their_mean_and_share() -> None:
    bins = reliability([(0.05, False), (0.0, True), (0.96, True), (0.97, False)])
    assert [(one.low, one.high) for one in bins] == [(0.0, 0.1), (0.95, 0.98)]
    assert [one.predicted for one in bins] == pytest.approx([0.025, 0.965])
    assert [one.right for one in bins] == [Share(1, 2), Share(1, 2)]


@pytest.mark.parametrize("edge", EDGES)
def test_an_edge_belongs_to_the_bin_above_it_and_certainty_to_the_last(edge: float) -> None:
    (one,) = reliability([(edge, True)])
    assert one.low <= edge <= one.high
    assert one.high == 1.0 if edge == 1.0 else one.low == edge


def test_rows_of_one_case_count_once_in_the_interval() -> None:
    (one,) = reliability([(0.5, True)] * 8, per_case=2)
    assert one.right.interval == Share(4, 4).interval


def test_no_predictions_make_no_bins() -> None:
    assert reliability([]) == ()


def test_a_curve_lowers_the_bar_and_takes_ties_together() -> None:
    scored = [(0.5, True), (0.9, True), (0.9, False), (0.2, False)]
    swept = curve("judge", scored, lambda right, wrong: (float(wrong), float(right)))
    assert [(one.bar, one.x, one.y) for one in swept.points] == [
        (0.9, 1, 1),
        (0.5, 1, 2),
        (0.2, 2, 2),
    ]


def test_a_long_curve_keeps_its_ends_and_its_order() -> None:
    draw = random.Random(5)
    scored = [(draw.random(), draw.random() < 0.5) for _ in range(5000)]
    swept = curve("judge", scored, lambda right, wrong: (float(wrong), float(right)))
    assert len(swept.points) == MAX_POINTS
    assert swept.points[0].bar == max(score for score, _ in scored)
    assert swept.points[-1].x + swept.points[-1].y == 5000
    bars = [one.bar for one in swept.points]
    assert bars == sorted(set(bars), reverse=True)
