"""The part of ``kindcache stats`` that says which categories pay."""

from __future__ import annotations

from typing import Any

import pytest

from kindcache.adapters.commands.stats import StatsError, table
from kindcache.adapters.commands.stats_economics import economics

UNKNOWN = {"break_even": None, "never": False, "pays": "unknown"}
CODE: dict[str, Any] = {
    "exact_hits": 5,
    "semantic_hits": 30,
    "misses": 70,
    "hit_rate": {"value": 0.3, "lower": 0.219, "upper": 0.396, "lookups": 100.0},
    "lookup_s": 0.0031,
    "answer_s": 1.5,
    "fetch_s": 0.001,
    "answer_money": None,
    "in_time": {"break_even": 0.00207, "never": False, "pays": "yes"},
    "in_money": UNKNOWN,
    "probed": False,
    "spent_s": 0.3,
    "saved_s": 52.5,
    "saved_tokens": 12_900,
    "saved_money": None,
    "unpriced_hits": 0,
}
CHAT = CODE | {
    "in_time": {"break_even": None, "never": True, "pays": "no"},
    "probed": True,
    "saved_s": 9000.0,
}
NEW = CODE | {
    "hit_rate": {"value": None, "lower": 0.0, "upper": 1.0, "lookups": 0.0},
    "lookup_s": None,
    "answer_s": None,
    "in_time": UNKNOWN,
}
FOUND: dict[str, Any] = {
    "currency": "EUR",
    "categories": {"code": CODE, "chat": CHAT, "new": NEW},
}


def cells(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_each_category_says_whether_it_pays_and_why() -> None:
    text = economics(FOUND)
    assert cells(text, "code") == [
        *("code", "30.0 (21.9-39.6)", "0.21", "yes", "3.10", "1.50", "0.3 s", "52.5 s", "12,900")
    ]
    assert cells(text, "chat")[2:4] == ["never", "NO, probed"]
    assert cells(text, "chat")[7] == "2.5 h"
    assert cells(text, "new")[1:6] == ["-", "-", "?", "-", "-"]


def test_one_line_sums_it_up() -> None:
    line = "In time, lookups by meaning pay: code; do not pay: chat; cannot be told yet: new"
    assert line in economics(FOUND).splitlines()
    assert "In money" not in economics(FOUND)


def test_money_is_shown_where_prices_are_known() -> None:
    priced = CODE | {
        "in_money": {"break_even": 0.04, "never": False, "pays": "no"},
        "answer_money": 0.02,
        "saved_money": 12.5,
        "unpriced_hits": 3,
    }
    text = economics(FOUND | {"categories": {"code": priced, "new": NEW}})
    in_time, in_money = text.split("in EUR")
    assert cells(in_time, "code")[3] == "yes"
    assert cells(in_money, "code") == ["code", "4.00", "NO", "0.020000", "12.5000", "3"]
    assert cells(in_money, "new") == ["new", "-", "?", "-", "-", "0"]
    line = "In money, lookups by meaning do not pay: code; cannot be told yet: new"
    assert line in text.splitlines()


def test_hits_of_no_known_price_are_said_to_be_that() -> None:
    text = economics(FOUND | {"categories": {"code": CODE | {"unpriced_hits": 4}}})
    assert cells(text.split("in EUR")[1], "code") == ["code", "-", "?", "-", "-", "4"]


def test_a_cache_that_was_never_asked_has_nothing_to_say() -> None:
    assert economics({"currency": "EUR", "categories": {}}) == ""
    assert economics({}) == ""


@pytest.mark.parametrize("broken", [3, {"categories": {"code": {}}}, {"categories": [1]}])
def test_other_figures_are_no_figures(broken: Any) -> None:
    whole: dict[str, Any] = {"status": "ok", "problems": [], "index": "loaded", "entries": 0}
    whole |= {"stored_bytes": 0, "writes_waiting": 0, "entries_by_category": {}, "evidence": {}}
    with pytest.raises(StatsError, match="not with the figures of a cache"):
        table(whole | {"economics": broken})
