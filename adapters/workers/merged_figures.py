"""The figures of several workers as those of one server (``GET /_cache/stats``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# Rates, means and verdicts stay those of the worker that was asked: each fades over its own past.
TOTALS = (
    "exact_hits",
    "semantic_hits",
    "misses",
    "spent_s",
    "saved_s",
    "saved_tokens",
    "saved_money",
    "unpriced_hits",
)
_OF_ONE = ("status", "entries", "writes_waiting")

Figures = Mapping[str, Any]


def merged_figures(number: int, own: Figures, others: Mapping[int, Figures | None]) -> Figures:
    """Return ``own`` figures, of worker ``number``, with what must be added of the others.

    Entries, answers and evidence are the same in all. None: that worker did not answer.
    """
    known = {number: own, **{n: told for n, told in others.items() if told is not None}}
    workers = {
        str(n): {"status": "no answer"}
        if (told := known.get(n)) is None
        else {name: told[name] for name in _OF_ONE}
        for n in sorted({number, *others})
    }
    return {
        **own,
        "writes_waiting": sum(told["writes_waiting"] for told in known.values()),
        "economics": _economics(own["economics"], [told["economics"] for told in known.values()]),
        "worker": number,
        "workers": workers,
    }


def _economics(own: Figures, all_of_them: list[Figures]) -> Figures:
    told = [one["categories"] for one in all_of_them if one]
    names = list(dict.fromkeys(name for categories in told for name in categories))
    if not own:
        return own
    return {
        **own,
        "categories": {
            name: _category([categories[name] for categories in told if name in categories])
            for name in names
        },
    }


def _category(told: list[Figures]) -> Figures:
    """Return the first with the totals of all; the first is the asked worker's where it has one."""
    return {**told[0], **{key: _sum(one[key] for one in told) for key in TOTALS}}


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
