"""The table of the break-even experiment: what was measured, and the paper's own figures."""

from __future__ import annotations

from breakeven_table import Measured, Stages, implied, needed, page

from kindcache.cache.events import Trace


def measured(kinds: int = 20) -> Measured:
    found = Measured(trips={0.005: [0.0055] * kinds}, other=3)
    for stages in (found.crowded, found.far, found.hits, found.guards, found.guard_hits):
        for _ in range(kinds):
            stages.take(Trace(embed_s=0.001, search_s=0.0005, judge_s=0.0015, total_s=0.004))
    return found


def cells(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_stages_add_up_and_make_the_rates() -> None:
    text = page(measured(), seed=1, entries=4200, took_s=9.0)
    row = cells(text, "in process, many")
    assert row[1:7] == ["1.00", "0.50", "1.50", "3.00", "3.00", "1.00"]
    assert row[7] == f"{100 * 0.003 / (0.1 - 0.001):.2f}"
    assert row[-1] == "61 ms"  # 3 ms / 5 % + 1 ms
    assert "3 lookups ended otherwise" in text


def test_a_search_elsewhere_takes_its_round_trip_and_fetches_nothing() -> None:
    row = cells(page(measured(), seed=1, entries=4200, took_s=9.0), "round trip of 5 ms")
    assert row[1:7] == ["1.00", "5.50", "1.50", "8.00", "8.00", "0.00"]


def test_a_rate_that_nothing_reaches_is_none() -> None:
    assert needed(0.3, 0.0)[:4] == ["never", "never", "never", "60.00"]
    assert needed(0.01, 0.1)[0] == "never"  # fetching takes as long as the model


def test_the_figures_of_the_paper_are_those_of_its_abstract() -> None:
    assert implied()[2:] == [
        "- paper: vector database, 30 ms a miss, 15 to 20 %: models of 150 to 200 ms",
        "- paper: HNSW in memory, 2 ms a miss, 3 to 5 %: models of 40 to 67 ms",
    ]


def test_stages_know_what_is_left_of_a_lookup() -> None:
    stages = Stages()
    stages.take(Trace(embed_s=1.0, search_s=2.0, judge_s=3.0, store_s=0.5, total_s=7.0))
    assert stages.rest == [1.0]
