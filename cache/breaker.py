"""Circuit breaker: stops calling what keeps failing, and tries again a little later."""

from __future__ import annotations

from dataclasses import dataclass

from .ports import Clock


@dataclass(frozen=True, slots=True)
class Pass:
    """Permission for one call. Settle it once with ``succeeded``, ``failed`` or ``abandoned``."""

    round: int
    is_probe: bool


class Breaker:
    """Closed, open, or half-open with a single probe under way. Not thread-safe: one event loop.

    After ``failures`` failures in a row no call is let through for ``first_pause_s``; then one
    probe is. A failed probe doubles the pause, up to ``longest_pause_s``; a good one closes the
    breaker. Calls that were under way when it opened or closed change nothing when they end.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        failures: int = 5,  # fewer would open on the odd slow answer
        first_pause_s: float = 0.25,  # as long as one read may take by default
        longest_pause_s: float = 4.0,  # how long a store that is back may go unnoticed
    ) -> None:
        self._clock = clock
        self._limit = failures
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._pause_s = first_pause_s
        self._failures = 0
        self._round = 0
        self._retry_at: float | None = None  # None = closed
        self._probing = False

    def __repr__(self) -> str:
        state = "closed" if not self.is_open else "probing" if self._probing else "open"
        return f"<Breaker {state}, {self._failures} failures in a row>"

    @property
    def is_open(self) -> bool:
        """Say whether calls are being refused, a probe apart."""
        return self._retry_at is not None

    def enter(self) -> Pass | None:
        """Ask to make a call; None = not now."""
        if self._retry_at is None:
            return Pass(self._round, is_probe=False)
        if self._probing or self._clock() < self._retry_at:
            return None
        self._probing = True
        return Pass(self._round, is_probe=True)

    def succeeded(self, ticket: Pass) -> None:
        """Settle a call that was answered."""
        if ticket.round != self._round:
            return
        self._failures = 0
        if ticket.is_probe:
            self._round += 1
            self._retry_at = None
            self._probing = False
            self._pause_s = self._first_pause_s

    def failed(self, ticket: Pass) -> None:
        """Settle a call that failed or was late."""
        if ticket.round != self._round:
            return
        self._failures += 1
        if ticket.is_probe:
            self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
        if self._failures >= self._limit:
            self._round += 1
            self._retry_at = self._clock() + self._pause_s
            self._probing = False

    def abandoned(self, ticket: Pass) -> None:
        """Settle a call whose caller went away, which tells nothing."""
        if ticket.is_probe and ticket.round == self._round:
            self._probing = False
