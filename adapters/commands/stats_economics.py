"""Which categories pay, for ``kindcache stats``: a table and the lines that sum it up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .grid import Column, grid

_NONE = "-"
_COLUMNS: tuple[Column, ...] = (
    ("category", str.ljust),
    ("by meaning %", str.ljust),
    ("needed %", str.rjust),
    ("pays", str.ljust),
    ("lookup ms", str.rjust),
    ("model s", str.rjust),
    ("spent", str.rjust),
    ("saved", str.rjust),
    ("tokens saved", str.rjust),
)
_MONEY: tuple[Column, ...] = (
    ("in {}", str.ljust),
    ("needed %", str.rjust),
    ("pays", str.ljust),
    ("an answer", str.rjust),
    ("saved", str.rjust),
    ("hits of no known price", str.rjust),
)
_VERDICTS = (("yes", "pay"), ("no", "do not pay"), ("unknown", "cannot be told yet"))
_NOTE = (
    "By meaning: hits among the lookups by meaning, the past fading, with their 95 % interval.\n"
    "Needed: the rate at which hits save as much as the lookups cost. Spent is what lookups by\n"
    "meaning took, saved what the model took for all answers served, exact hits included; both\n"
    "since the start of this process."
)


def economics(found: Mapping[str, Any]) -> str:
    """Lay out what the cache said of its economics; empty where it said nothing.

    Raises ``KeyError`` and ``TypeError`` for anything else.
    """
    categories: Mapping[str, Mapping[str, Any]] = found.get("categories", {})
    if not categories:
        return ""
    rows = [_row(name, known) for name, known in categories.items()]
    parts = [grid(_COLUMNS, rows), _sum_up("In time", "in_time", categories)]
    if any(_known_in_money(known) for known in categories.values()):
        money = [_money(name, known) for name, known in categories.items()]
        columns = [(text.format(found["currency"]), fill) for text, fill in _MONEY]
        parts += [grid(columns, money), _sum_up("In money", "in_money", categories)]
    return "\n\n".join((*parts, _NOTE))


def _known_in_money(known: Mapping[str, Any]) -> bool:
    priced = known["saved_money"] is not None or known["unpriced_hits"] > 0
    return priced or known["in_money"]["pays"] != "unknown"


def _row(name: str, known: Mapping[str, Any]) -> list[str]:
    rate = known["hit_rate"]
    low, high = 100 * rate["lower"], 100 * rate["upper"]
    shown = _NONE if rate["value"] is None else f"{100 * rate['value']:.1f} ({low:.1f}-{high:.1f})"
    return [
        name,
        shown,
        _needed(known["in_time"]),
        _verdict(known["in_time"]) + (", probed" if known["probed"] else ""),
        _number(known["lookup_s"], 1e3),
        _number(known["answer_s"]),
        _span(known["spent_s"]),
        _span(known["saved_s"]),
        f"{known['saved_tokens']:,}",
    ]


def _money(name: str, known: Mapping[str, Any]) -> list[str]:
    saved, answer = known["saved_money"], known["answer_money"]
    return [
        name,
        _needed(known["in_money"]),
        _verdict(known["in_money"]),
        _NONE if answer is None else f"{answer:.6f}",
        _NONE if saved is None else f"{saved:,.4f}",
        f"{known['unpriced_hits']:,}",
    ]


def _needed(figure: Mapping[str, Any]) -> str:
    if figure["never"]:
        return "never"
    return _NONE if figure["break_even"] is None else f"{100 * figure['break_even']:.2f}"


def _verdict(figure: Mapping[str, Any]) -> str:
    return {"yes": "yes", "no": "NO", "unknown": "?"}[figure["pays"]]


def _number(value: float | None, factor: float = 1.0) -> str:
    return _NONE if value is None else f"{value * factor:.2f}"


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _sum_up(text: str, field: str, categories: Mapping[str, Mapping[str, Any]]) -> str:
    said = {name: known[field]["pays"] for name, known in categories.items()}
    groups = [(words, [n for n in said if said[n] == verdict]) for verdict, words in _VERDICTS]
    found = "; ".join(f"{words}: {', '.join(names)}" for words, names in groups if names)
    return f"{text}, lookups by meaning {found}"
