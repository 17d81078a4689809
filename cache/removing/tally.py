"""What somebody who asked for an invalidation is told: which entries are meant, or went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...policies.selecting import Condition, Facts
from ..ports import EntryKey

SHOWN = 10  # entries


@dataclass(frozen=True, slots=True)
class Example:
    """One of the entries that are meant."""

    entry: str  # hexadecimal
    category: str
    prompt: str


@dataclass(slots=True, eq=False)
class Tally:
    """Which entries are meant. ``undecided``: they are looked at when somebody asks for them."""

    wanted: Condition
    by_category: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    unreadable: int = 0  # nobody can tell whose they were
    undecided: int = 0
    everything: bool = False  # there was no room to note it, and so all entries are gone
    _seen: set[EntryKey] = field(default_factory=set)

    @property
    def total(self) -> int:
        """Count the entries that are meant."""
        return self.by_category.total() + self.unreadable

    def add(self, facts: Iterable[Facts]) -> None:
        """Count entries that are gone, each once, if they were meant."""
        for one in facts:
            key = EntryKey(one.key)
            if key not in self._seen and self.wanted.holds(one):
                self._seen.add(key)
                self.by_category[one.category] += 1
                if len(self.examples) < SHOWN:
                    self.examples.append(Example(key.hex(), one.category, one.prompt))
