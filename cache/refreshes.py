"""Which stale answers are being refreshed, so that each one is once, and few of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from .ports import Clock, EntryKey

PAUSE_S = 30.0  # before a refresh that failed is tried again
REMEMBERED = 10_000  # failed ones


class Refreshes:
    """Tells who may be served stale. ``left`` says how many refreshes can still be paid today.

    A stale answer is served only while its refresh is under way, can be started, or has just
    failed; else the caller waits for the model as on any miss.
    """

    def __init__(self, clock: Clock, left: Callable[[], int]) -> None:
        self._clock = clock
        self._left = left
        self._under_way: set[EntryKey] = set()
        self._failed: OrderedDict[EntryKey, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._under_way)

    def allow(self, key: EntryKey) -> bool:
        """Say whether the answer under ``key`` may be served stale now."""
        return key in self._under_way or self._pauses(key) or self._affordable()

    def begin(self, key: EntryKey) -> bool:
        """Start the refresh of ``key``; False when it must not be. End it with ``end``."""
        if key in self._under_way or self._pauses(key) or not self._affordable():
            return False
        self._under_way.add(key)
        return True

    def end(self, key: EntryKey, *, refreshed: bool) -> None:
        """End the refresh of ``key``."""
        self._under_way.discard(key)
        self._failed.pop(key, None)
        if not refreshed:
            self._failed[key] = self._clock()
            if len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)

    def _affordable(self) -> bool:
        return self._left() > len(self._under_way)  # those under way may not have paid yet

    def _pauses(self, key: EntryKey) -> bool:
        failed_s = self._failed.get(key)
        return failed_s is not None and 0 <= self._clock() - failed_s < PAUSE_S
