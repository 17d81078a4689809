"""Failures and alarms as log lines: failures once a while for each kind, never with prompt text."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ...cache.events import BarMoved, Event, Failed, LoadMoved

EVERY_S = 10.0


class LogObserver:
    """Logs survived failures and alarms to the logger ``kindcache``.

    Failures that repeat within 10 s are only counted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logger = logging.getLogger("kindcache")
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def notify(self, event: Event) -> None:
        """Log ``event`` if it is a failure, or an alarm."""
        if isinstance(event, BarMoved) and event.why == "alarm":
            text = "%s: hits are wrong more often than max_error_rate; the bar is %.4g now"
            self._logger.warning(text, event.category, event.bar)
        elif isinstance(event, LoadMoved):
            state = "loaded" if event.factor else "at rest again"
            self._logger.info("a model is %s; see kindcache_load", state)
        elif isinstance(event, Failed):
            self._failed(event)

    def _failed(self, event: Failed) -> None:
        kind = (event.stage, event.error)
        last_s, repeats = self._seen.get(kind, (-EVERY_S, 0))
        now_s = self._clock()
        if now_s - last_s < EVERY_S:
            self._seen[kind] = (last_s, repeats + 1)
            return
        self._seen[kind] = (now_s, 0)
        more = f" ({repeats} more since the last such line)" if repeats else ""
        self._logger.warning("%s failed: %s%s", event.stage, event.error, more)
