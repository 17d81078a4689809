"""Sizing goes by what was measured."""

from __future__ import annotations

import json
from pathlib import Path

from constants import WHERE, entry_bytes
from fleet import costs_of
from sizing import ENTRIES, MIXES, lines


def test_bytes_of_an_entry_come_from_the_table_of_the_largest_index(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    head = "| entries | vectors | first | low | p50 | p99 | admit | build | bytes | text | both |\n"
    row = "| 10,000 | {} | 1.0, 1.0 | 0, 0 | 44 | 174 | 276 | 2 | {} | 50, 70 | 6,000 |\n"
    last = "| 100,000 | {} | 1.0, 1.0 | 0, 0 | 90 | 177 | 236 | 22 | {} | 52, 75 | 5,000 |\n"
    page.write_text(
        "| 1 | float32 | another table |\n<!-- index: begin -->\n"
        + head
        + row.format("float32", "2,582")
        + row.format("int8", "1,113")
        + last.format("float32", "2,082")
        + last.format("int8", "844")
        + "<!-- index: end -->\n"
    )
    assert entry_bytes(page) == {"float32": [2_209, 5_127], "int8": [971, 5_127]}


def test_the_page_has_every_kind_of_vectors() -> None:
    found = entry_bytes()
    assert set(found) == {"float32", "float16", "int8"}
    assert found["int8"][0] < found["float16"][0] < found["float32"][0]


def test_the_tables_add_up() -> None:
    figures = {"cpu_us": 100.0}
    found = {
        "measured": "somewhere",
        "base_bytes": 300 << 20,
        "entry_bytes": {"float32": [2_048, 4_096]},
        "redis_entry_bytes": 1_024,
        "exact": figures,
        "semantic": {"cpu_us": 1_000.0},
        "miss": {"cpu_us": 2_000.0},
    }
    made = lines(found)
    assert "| 500,000 | float32 | 1,341 | 2,317 | 488 |" in made
    assert "| help desk | 30%, 40%, 30% | 1,030 | 680 |" in made
    assert len([line for line in made if line.startswith("| ")]) == len(ENTRIES) + len(MIXES) + 4


def test_the_measured_constants_are_fit_for_the_model() -> None:
    costs = costs_of(json.loads(WHERE.read_text(encoding="utf-8")), "int8")
    assert 0 < costs.exact_us < costs.semantic_us < costs.miss_us
    assert costs.follow_bytes > 0
