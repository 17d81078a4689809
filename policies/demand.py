"""How much a category's entries are asked for: hits a second of one entry, the past fading."""

from __future__ import annotations

import math
from dataclasses import dataclass

HALF_LIFE_S = 3600.0  # ours: a working day's topics come and go; shorter forgets what is rare
FIRST_GUESS_S = 3600.0  # ours: an entry of an unknown category is asked for once an hour
_LN2 = math.log(2.0)


def faded(amount: float, seconds: float, half_life_s: float = HALF_LIFE_S) -> float:
    """Return what is left of ``amount`` after ``seconds``; a clock that went back fades nothing."""
    return amount * math.exp2(-max(seconds, 0.0) / half_life_s)


def watched_s(seconds: float) -> float:
    """Return the fading sum of ``seconds`` of watching: that of hits at one a second."""
    return (1.0 - math.exp2(-max(seconds, 0.0) / HALF_LIFE_S)) * HALF_LIFE_S / _LN2


@dataclass(slots=True)
class Demand:
    """Hits, entry-seconds and upstream time of one category. All fade with one half-life."""

    now_s: float
    hits: float = 0.0
    entry_s: float = 0.0
    count: int = 0  # entries held now
    cost_s: float = 0.0  # faded sum over what was admitted
    costed: float = 0.0  # faded number of those

    def pass_time(self, now_s: float) -> None:
        """Let time pass with ``count`` entries held."""
        elapsed_s = max(0.0, now_s - self.now_s)
        self.entry_s = faded(self.entry_s, elapsed_s) + self.count * watched_s(elapsed_s)
        self.hits = faded(self.hits, elapsed_s)
        self.cost_s = faded(self.cost_s, elapsed_s)
        self.costed = faded(self.costed, elapsed_s)
        self.now_s = now_s

    def admitted(self, now_s: float, cost_s: float) -> None:
        """Count an entry that came in; ``cost_s`` is 0 where it is not known."""
        self.pass_time(now_s)
        self.count += 1
        if cost_s > 0.0:
            self.cost_s += cost_s
            self.costed += 1.0

    def removed(self, now_s: float) -> None:
        """Count an entry that went."""
        self.pass_time(now_s)
        self.count -= 1

    def hit(self, now_s: float, weight: float = 1.0) -> None:
        """Count a hit."""
        self.pass_time(now_s)
        self.hits += weight

    @property
    def rate_per_s(self) -> float:
        """Return the hits a second of one entry, with one hit of ``FIRST_GUESS_S`` mixed in."""
        return (1.0 + self.hits) / (FIRST_GUESS_S + self.entry_s)

    @property
    def mean_cost_s(self) -> float:
        """Return the upstream time of an answer; one second where none is known."""
        return self.cost_s / self.costed if self.costed > 1e-6 else 1.0
