"""The figures of several workers."""

from __future__ import annotations

from typing import Any

from kindcache.adapters.workers.merged_figures import merged_figures


def figures(hits: int, *, money: float | None = None, **more: Any) -> dict[str, Any]:
    totals = {
        "exact_hits": hits,
        "semantic_hits": 1,
        "misses": 2,
        "spent_s": 0.5,
        "saved_s": 3.0,
        "saved_tokens": 10,
        "saved_money": money,
        "unpriced_hits": 0,
        "hit_rate": {"value": hits / 10},
    }
    return {
        "status": "ready",
        "entries": 7,
        "writes_waiting": 2,
        "economics": {"currency": "USD", "categories": {"code": totals}},
        **more,
    }


def test_totals_are_added_and_means_are_those_of_the_asked_worker() -> None:
    told = merged_figures(1, figures(5), {0: figures(3, money=2.0), 2: None})
    code = told["economics"]["categories"]["code"]
    assert code["exact_hits"] == 8
    assert code["saved_tokens"] == 20
    assert code["saved_money"] == 2.0
    assert code["hit_rate"] == {"value": 0.5}
    assert told["entries"] == 7
    assert told["writes_waiting"] == 4
    assert told["worker"] == 1
    assert told["workers"] == {
        "0": {"status": "ready", "entries": 7, "writes_waiting": 2},
        "1": {"status": "ready", "entries": 7, "writes_waiting": 2},
        "2": {"status": "no answer"},
    }


def test_a_category_that_only_another_worker_was_asked_of_is_told() -> None:
    other = figures(3)
    other["economics"]["categories"]["news"] = other["economics"]["categories"].pop("code")
    categories = merged_figures(0, figures(5), {1: other})["economics"]["categories"]
    assert {name: one["exact_hits"] for name, one in categories.items()} == {"code": 5, "news": 3}


def test_without_economics_there_are_none() -> None:
    assert merged_figures(0, figures(1, economics={}), {1: figures(2)})["economics"] == {}
