"""How many calls of its own the cache may still make today."""

from __future__ import annotations

from ..ports import Clock
from .fact import DAY_S


class DailyBudget:
    """``per_day`` calls in each day of UTC. Not kept over a restart."""

    def __init__(self, per_day: int, clock: Clock) -> None:
        self._per_day = per_day
        self._clock = clock
        self._day = 0
        self._used = 0

    @property
    def left(self) -> int:
        """Return how many calls are left today."""
        today = int(self._clock() // DAY_S)
        if today > self._day:  # a clock that is set back brings no second budget
            self._day, self._used = today, 0
        return self._per_day - self._used

    def take(self) -> bool:
        """Use one call; False when none is left."""
        if self.left <= 0:
            return False
        self._used += 1
        return True
