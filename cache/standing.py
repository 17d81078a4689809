"""Which credentials are good: an answer is served only to one that the upstream took lately.

The cache cannot know that a key was revoked. It knows when the upstream last answered a principal
with success, and when it refused it.
"""

from __future__ import annotations

from collections import OrderedDict

from .asking.scope import SHARED, Principal


class Standing:
    """When each principal last succeeded. Bounded; a forgotten one must succeed again."""

    def __init__(self, window_s: float, size: int = 100_000) -> None:
        self._window_s = window_s
        self._size = size
        self._since: OrderedDict[Principal, float] = OrderedDict()
        self._refused: OrderedDict[Principal, None] = OrderedDict()

    def succeeded(self, principal: Principal, at_s: float) -> None:
        """Note a success of ``principal`` at the upstream."""
        self._refused.pop(principal, None)
        self._since[principal] = max(at_s, self._since.pop(principal, 0.0))
        if len(self._since) > self._size:
            self._since.popitem(last=False)

    def refused(self, principal: Principal) -> None:
        """Note that the upstream refused ``principal``; nothing is served until it succeeds."""
        self._since.pop(principal, None)
        self._refused[principal] = None
        if len(self._refused) > self._size:
            self._refused.popitem(last=False)

    def good(self, principal: Principal, created_s: float, now_s: float) -> bool:
        """Say whether ``principal`` may get an answer of its own scope, created at ``created_s``.

        The answer's creation was itself a success of this principal.
        """
        if principal == SHARED:
            return True
        if principal in self._refused:
            return False
        return now_s - max(created_s, self._since.get(principal, 0.0)) < self._window_s
