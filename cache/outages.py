"""Which models fail just now, so that not every caller waits to learn it."""

from __future__ import annotations

import time
from collections import OrderedDict

from .breaker import Breaker, Pass
from .ports import Clock, EntryKey

MODELS = 256  # of which failures are remembered, most recently called last to go
KEYS = 10_000
PAUSE_S = 1.0  # for the same question: callers that waited for one failure need not wait for more


class Outages:
    """A breaker for each model, and the questions that it failed to answer a moment ago.

    Refuses no call by itself: who has no stored answer asks the model all the same. ``clock`` is
    monotonic.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()
        self._failed: OrderedDict[EntryKey, float] = OrderedDict()

    def enter(self, model: str, key: EntryKey) -> Pass | None:
        """Ask whether to call ``model``; None = it fails, use what is stored if there is some."""
        failed_s = self._failed.get(key)
        if failed_s is not None and self._clock() - failed_s < PAUSE_S:
            return None
        return self._breaker(model).enter()

    def settle(self, model: str, key: EntryKey, ticket: Pass | None, *, failed: bool) -> None:
        """Note how a call ended; ``ticket`` is what it entered with."""
        self._failed.pop(key, None)
        if failed:
            self._failed[key] = self._clock()
            if len(self._failed) > KEYS:
                self._failed.popitem(last=False)
        if ticket is not None:
            breaker = self._breaker(model)
            (breaker.failed if failed else breaker.succeeded)(ticket)

    def abandon(self, model: str, ticket: Pass | None) -> None:
        """Note that a call ended in a way that tells nothing of the model."""
        if ticket is not None:
            self._breaker(model).abandoned(ticket)

    def _breaker(self, model: str) -> Breaker:
        breaker = self._breakers.pop(model, None) or Breaker(self._clock, first_pause_s=PAUSE_S)
        self._breakers[model] = breaker
        if len(self._breakers) > MODELS:
            self._breakers.popitem(last=False)
        return breaker
