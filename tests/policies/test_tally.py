"""Which observation speaks about which bar."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.observation import Observation, Source
from kindcache.policies.tally import (
    COUNT,
    EDGES,
    Cell,
    Counts,
    Tally,
    bin_of,
    cell_of,
    first_edge,
)

cells = st.builds(
    Cell,
    st.sampled_from(Source),
    st.integers(0, COUNT),
    st.booleans(),
    st.integers(0, COUNT + 1),
)


def seen(
    probability: float, source: Source = Source.SHADOW, *, correct: bool = True
) -> Observation:
    served = source in {Source.CHECK, Source.FEEDBACK}
    return Observation("support", probability, correct, source, served)


def at(counts: tuple[int, ...], probability: float) -> int:
    return counts[bin_of(probability)]


def test_the_edges_are_fine_near_one() -> None:
    assert list(EDGES) == sorted(set(EDGES))
    assert (len(EDGES), EDGES[0], EDGES[-1]) == (COUNT, 0.02, 0.9995)
    assert sum(edge > 0.95 for edge in EDGES) > sum(edge < 0.3 for edge in EDGES)
    odds = [math.log(edge / (1.0 - edge)) for edge in EDGES]
    assert all(b - a < 0.4 for a, b in pairwise(odds))
    assert all(0.1 < b - a < 0.14 for a, b in pairwise(odds) if a > 1.38)


@given(st.floats(0.0, 1.0))
def test_a_probability_lies_in_its_bin(probability: float) -> None:
    number = bin_of(probability)
    assert (0.0, *EDGES)[number] <= probability
    assert number == COUNT or probability < EDGES[number]


def test_what_is_no_number_is_in_no_bar() -> None:
    assert bin_of(math.nan) == 0


@pytest.mark.parametrize(
    ("bar", "expected"),
    [(0.0, 0), (0.01, 1), (EDGES[6], 7), (0.9999, COUNT + 1), (1.01, COUNT + 1)],
)
def test_a_bar_between_edges_is_known_from_the_next_edge(bar: float, expected: int) -> None:
    assert first_edge(bar) == expected


@given(cells)
def test_a_cell_can_be_read_back_from_its_name(cell: Cell) -> None:
    assert Cell.parse(cell.name) == cell


@pytest.mark.parametrize(
    "name",
    [
        "",
        "shadow|3|right",
        "rumour|3|right|0",
        "shadow|3|maybe|0",
        f"shadow|{COUNT + 1}|right|0",
        "shadow|03|right|0",
        "shadow|-1|right|0",
        f"shadow|3|right|{COUNT + 2}",
        "shadow|x|right|0",
    ],
)
def test_other_names_are_no_cells(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        Cell.parse(name)


def test_what_was_watched_speaks_about_every_bar_below_it() -> None:
    counts = Tally().add(seen(0.9), bar=0.97).add(seen(0.5, correct=False), bar=0.97).counts()
    assert [at(counts.fair, p) for p in (0.95, 0.9, 0.6, 0.5, 0.1)] == [0, 1, 1, 2, 2]
    assert [at(counts.wrong, p) for p in (0.9, 0.5)] == [0, 1]


def test_a_served_hit_says_nothing_about_lower_bars() -> None:
    """Everything below was not served: nobody saw whether it would have been right."""
    counts = Tally().add(seen(0.99, Source.CHECK), bar=0.97, amount=1000).counts()
    assert [at(counts.fair, p) for p in (0.995, 0.985, 0.98, 0.95, 0.5)] == [0, 1000, 1000, 0, 0]


def test_checks_made_under_a_higher_bar_do_not_dilute_a_lower_one() -> None:
    tally = Tally().add(seen(0.99, Source.CHECK), bar=0.97, amount=1000)
    tally = tally.add(seen(0.91, Source.CHECK, correct=False), bar=0.9, amount=3)
    counts = tally.add(seen(0.99, Source.CHECK), bar=0.9, amount=97).counts()
    low = first_edge(0.9)
    assert (counts.wrong[low], counts.fair[low]) == (3, 100)
    assert at(counts.fair, 0.98) == 1097


def test_what_lies_between_its_bar_and_the_next_edge_speaks_about_no_bar() -> None:
    bar = 0.5
    assert set(Tally().add(seen(0.501, Source.CHECK), bar=bar).counts().fair) == {0}


def test_praise_counts_for_nothing_and_a_complaint_as_one_more_wrong_hit() -> None:
    praised = Tally().add(seen(0.99, Source.FEEDBACK), bar=0.97, amount=500).counts()
    assert praised == Tally().counts()
    complaint = seen(0.99, Source.FEEDBACK, correct=False)
    counts = Tally().add(complaint, bar=0.97).counts()
    assert (sum(counts.fair), sum(counts.wrong)) == (0, 0)
    assert [at(counts.reported, p) for p in (0.999, 0.985, 0.5)] == [0, 1, 1]


@given(st.dictionaries(cells, st.integers(1, 9), max_size=20), st.data())
def test_parts_add_up(amounts: dict[Cell, int], data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(sorted(amounts, key=repr)))) if amounts else set()
    one = Tally({cell: n for cell, n in amounts.items() if cell in chosen})
    other = Tally({cell: n for cell, n in amounts.items() if cell not in chosen})
    whole, first, second = (tally.counts() for tally in (one.merge(other), one, other))
    for name in ("fair", "inside", "wrong", "reported"):
        parts = zip(getattr(first, name), getattr(second, name), strict=True)
        assert getattr(whole, name) == tuple(a + b for a, b in parts)
    assert isinstance(whole, Counts)
    assert all(w <= f for w, f in zip(whole.wrong, whole.fair, strict=True))


def test_a_tally_is_never_changed() -> None:
    tally = Tally()
    tally.add(seen(0.9), bar=0.97)
    assert tally == Tally()
    assert cell_of(seen(0.9, Source.CHECK), 0.5).floor == first_edge(0.5)
