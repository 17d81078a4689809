"""An event loop whose time stands still while anything is to be done, and else jumps.

What serves runs on it unchanged: a sleep of an hour ends at once, after everything that was due
before it. Nothing may work in other threads meanwhile, since time would not wait for it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")
RESOLUTION_S = 1e-6
_Events = list[tuple[selectors.SelectorKey, int]]


class _Skipping(selectors.DefaultSelector):
    """Waits for nothing: the time that it should is added up."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped_s = 0.0

    def select(self, timeout: float | None = None) -> _Events:
        if timeout is None or timeout <= 0.0:
            return super().select(timeout)
        events = super().select(0)
        if not events:
            self.skipped_s += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that begins at 0 seconds."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)
        # Timers are due when so near: above the precision of a float after 50 years of seconds,
        # or a timer that is due to the bit would never run.
        self._clock_resolution = RESOLUTION_S

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self._skipping.skipped_s


def run(work: Coroutine[None, None, T]) -> T:
    """Run ``work`` to its end on a virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
