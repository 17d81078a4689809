"""What the plots show, as numbers: reliability in bins, and frontiers over all bars."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from .intervals import Share

Scored = tuple[float, bool]  # a score, and whether serving it would be right

# Finer where bars lie.
EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
MAX_POINTS = 200  # of a curve; more cannot be seen


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions from ``low`` to below ``high`` (the last one takes in its end)."""

    low: float
    high: float
    predicted: float  # their mean
    right: Share


@dataclass(frozen=True, slots=True)
class Point:
    """Where a bar leads."""

    bar: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One score swept over all bars, highest first."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Frontier:
    """What can be had for what, in shares; ``shipped`` is where the policy in use stands."""

    x: str
    y: str
    curves: tuple[Curve, ...]
    shipped: tuple[float, float] | None


def reliability(scored: Sequence[Scored], per_case: int = 1) -> tuple[Bin, ...]:
    """Sort predictions into bins, empty ones left out; ``per_case`` of them are not independent."""
    bins: list[Bin] = []
    place: Callable[[Scored], int] = lambda one: bisect_right(EDGES[1:-1], one[0])  # noqa: E731
    for number, members in groupby(sorted(scored), place):
        rows = list(members)
        right = Share(sum(flag for _, flag in rows), len(rows), per_case)
        mean = sum(score for score, _ in rows) / len(rows)
        bins.append(Bin(EDGES[number], EDGES[number + 1], mean, right))
    return tuple(bins)


def curve(
    name: str, scored: Sequence[Scored], place: Callable[[int, int], tuple[float, float]]
) -> Curve:
    """Sweep a bar down over ``scored``; ``place`` turns right and wrong ones served into x, y."""
    points: list[Point] = []
    right = wrong = 0
    for bar, tied in groupby(sorted(scored, reverse=True), lambda one: one[0]):
        flags = [flag for _, flag in tied]
        right += sum(flags)
        wrong += len(flags) - sum(flags)
        points.append(Point(bar, *place(right, wrong)))
    return Curve(name, _thinned(points))


def _thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    if len(points) <= MAX_POINTS:
        return tuple(points)
    step = (len(points) - 1) / (MAX_POINTS - 1)
    return tuple(points[round(number * step)] for number in range(MAX_POINTS))
