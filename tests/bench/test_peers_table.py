"""The tables of the comparison with peers say what was measured, and nothing else."""

from __future__ import annotations

import pytest
from peers_table import Place, Results, Row, Served, tables, timing, truth

EXACT = Place(1_000, "one", Row.EXACT, 1)


def cell(lines: list[str], label: str, column: int) -> str:
    (line,) = [line for line in lines if line.startswith(f"| {label}")]
    return line.split("|")[column + 1].strip()


def test_a_round_is_summarised_by_the_requests_that_count() -> None:
    one = timing([0.001] * 98 + [0.005, 0.009], 200, wall_s=2.0, cpu_s=0.5)
    assert (one.p50_ms, one.rate, one.per_core) == (1.0, 50.0, 200.0)
    assert 5.0 < one.p99_ms < 9.0
    assert (one.counted, one.asked) == (100, 200)


def test_a_round_in_which_nothing_counts_is_no_error() -> None:
    assert timing([], 10, 1.0, 1.0).counted == 0


def test_cells_are_medians_over_rounds() -> None:
    results = Results()
    for seconds in (0.001, 0.009, 0.002):
        results.time(EXACT, timing([seconds] * 10, 10, 1.0, 1.0))
    assert cell(tables(results, [1_000], ["one"]), Row.EXACT, 1) == "2.00 / 2.00"
    assert results.p50_ms(EXACT) == pytest.approx(2.0)


def test_a_share_that_does_not_count_is_shown() -> None:
    results = Results()
    results.time(EXACT, timing([0.001] * 90, 100, 1.0, 1.0))
    assert cell(tables(results, [1_000], ["one"]), Row.EXACT, 1) == "1.00 / 1.00 (90.0%)"


def test_a_row_that_is_not_what_it_says_has_no_figures() -> None:
    results = Results()
    for clients in (1, 32):
        place = Place(1_000, "one", Row.SEMANTIC, clients)
        results.time(place, timing([0.001] * 10, 100, 1.0, 1.0))
    lines = tables(results, [1_000], ["one"])
    assert cell(lines, f"{Row.SEMANTIC}, 1 client: p50", 1) == "only 10% were"
    assert cell(lines, f"{Row.SEMANTIC}, 32 clients: requests/s |", 1) == ""
    assert results.p50_ms(Place(1_000, "one", Row.SEMANTIC, 1)) is None


def test_peers_without_figures_at_a_size_are_left_out_of_its_table() -> None:
    results = Results()
    results.time(EXACT, timing([0.001], 1, 1.0, 1.0))
    results.value(Place(10_000, "two", Row.FLIGHT), 1)
    lines = tables(results, [1_000, 10_000], ["one", "two"])
    assert "|  | one |" in lines
    assert "|  | two |" in lines
    assert cell(lines, Row.FLIGHT, 1) == "1"


def test_wrong_answers_are_counted_over_all_kinds() -> None:
    asked = {"trap": 4, "paraphrase": 3, "repeat": 2}
    served = Served(asked, {"paraphrase": 2, "repeat": 2}, {"trap": 1, "paraphrase": 1})
    assert truth({"one": served})[-1] == "| one | 1 of 4 | 2 of 3 | 2 of 2 | 2 of 9 |"
