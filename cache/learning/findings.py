"""What the facts about one category add up to. Kept up to date fact by fact: they are many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ...policies.calibration import Cell, Tally, bin_of
from ...policies.drift import LONGEST_DAYS, Daily
from ...policies.observation import Source
from ...policies.wilson import wilson
from .fact import Fact, Sent


@dataclass(slots=True)
class Findings:
    """The facts about one category."""

    hits: int = 0
    cells: Counter[Cell] = field(default_factory=Counter)
    days: dict[int, Counter[Cell | Sent]] = field(default_factory=dict)

    def add(self, fact: Fact, amount: int) -> None:
        """Take in that ``fact`` was counted ``amount`` times more; less where that is negative."""
        self.days.setdefault(fact.day, Counter())[fact.what] += amount
        self._add(fact.what, amount)

    def forget(self, first_day: int) -> bool:
        """Forget the days before ``first_day``; say whether there were any."""
        old = [day for day in self.days if day < first_day]
        for day in old:
            for what, amount in self.days.pop(day).items():
                self._add(what, -amount)
        return bool(old)

    def tally(self) -> Tally:
        """Return the observations of all days, for calibration."""
        return Tally(+self.cells)

    def daily(self, bar: float, today: int) -> list[Daily]:
        """Return, for each of the latest days, what was served at or above ``bar``."""
        lowest = bin_of(bar)  # the bar may lie within it: all of it was served
        found = []
        for day in range(today - LONGEST_DAYS + 1, today + 1):
            counts: Counter[str] = Counter()
            for what, amount in self.days.get(day, {}).items():
                if what.bin >= lowest:
                    counts.update(dict.fromkeys(_counted(what), amount))
            found.append(Daily(day, **counts))
        return found

    def figures(self) -> dict[str, Any]:
        """Describe the observations by source, and the precision of served hits.

        Precision leaves feedback out: it is no fair sample.
        """
        sources = {source: {"right": 0, "wrong": 0} for source in Source}
        seen: Counter[bool] = Counter()
        for cell, amount in self.cells.items():
            sources[cell.source]["right" if cell.correct else "wrong"] += amount
            if "seen" in _counted(cell):
                seen[cell.correct] += amount
        observed = {str(name): counts for name, counts in sources.items() if any(counts.values())}
        return {
            "hits": self.hits,
            "observations": observed,
            "precision": _precision(seen[True], seen[False]),
        }

    def _add(self, what: Cell | Sent, amount: int) -> None:
        if isinstance(what, Sent):
            self.hits += amount
        else:
            self.cells[what] += amount


def _counted(what: Cell | Sent) -> tuple[str, ...]:
    """Return the fields of ``Daily`` that one fact counts in."""
    if isinstance(what, Sent):
        return ("hits",)
    if what.source is Source.FEEDBACK:
        return () if what.correct else ("reported",)
    if not what.floor:  # watched only, never served
        return ()
    return ("seen",) if what.correct else ("seen", "wrong")


def _precision(right: int, wrong: int) -> dict[str, float] | None:
    """Return the share of right ones with its 95 % Wilson interval; None = nothing observed."""
    seen = right + wrong
    if not seen:
        return None
    low, high = wilson(right, seen)
    return {"value": right / seen, "lower": low, "upper": high, "observed": seen}
