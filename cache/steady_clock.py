"""Unix time that does not go back while a process lives, so that no answer gets younger."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyClock:
    """The wall clock, or what it said at the start plus the time gone since, whichever is later.

    A wall clock that is set back is not followed; one that is set forward is, and answers expire
    early. What was created under a time that proves wrong lies in the future and is expired.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._offset_s = wall() - elapsed()

    def __call__(self) -> float:
        """Return the time now."""
        return max(self._wall(), self._offset_s + self._elapsed())
