"""Observations in numbers."""

from collections import Counter
from collections.abc import Callable

import pytest

from kindcache.policies.calibration import Tally, cell_of
from kindcache.policies.observation import Observation, Source

MakeTally = Callable[..., Tally]


def tally_of(
    *parts: tuple[float, int, int], category: str = "any", source: Source = Source.LABEL
) -> Tally:
    """``(probability, right, wrong)`` each."""
    cells: Counter[object] = Counter()
    for probability, right, wrong in parts:
        for correct, amount in ((True, right), (False, wrong)):
            if amount:
                seen = Observation(category, probability, correct, source, served=False)
                cells[cell_of(seen, 0.0)] += amount
    return Tally(cells)  # type: ignore[arg-type]


@pytest.fixture
def tally() -> MakeTally:
    return tally_of
