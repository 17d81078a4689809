"""How long this process may serve answers without having heard what was done to the store."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ..ports import Clock

LOOKS = 4  # at the log within the time allowed: one that is late must not cost hits


@dataclass(slots=True, eq=False)
class Level:
    """``heard_s``: all that was told before that monotonic time is carried out here."""

    max_lag_s: float
    monotonic: Clock = time.monotonic
    heard_s: float = field(default=float("-inf"))

    @property
    def look_every_s(self) -> float:
        """Return how long the log may be waited for at a time."""
        return self.max_lag_s / LOOKS

    def is_good(self) -> bool:
        """Say whether what was told longer ago than ``max_lag_s`` is carried out here."""
        return self.monotonic() - self.heard_s <= self.max_lag_s
