"""A simulated model server with a queue, on a clock of its own.

Continuous batching: at most ``SLOTS`` calls run, the others wait in order. All that run share the
machine: each gets slower with every other one, and the server as a whole does more. A call takes
its prompt's tokens (then its first token is there) and after that the tokens of its answer.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from itertools import count

SLOTS = 32
PREFILL_S = 0.0001  # a prompt token, alone on the machine
TOKEN_S = 0.01  # an answer's token, alone on the machine
SHARING = 0.05  # by which one more running call slows the others down


@dataclass(frozen=True, slots=True)
class Work:
    """What a call asks of the server."""

    context: int  # tokens
    generated: int

    @property
    def first_s(self) -> float:
        """Time until its first token, alone on the machine."""
        return self.context * PREFILL_S + TOKEN_S

    @property
    def whole_s(self) -> float:
        """Time until its end, alone on the machine."""
        return self.context * PREFILL_S + max(self.generated, 1) * TOKEN_S


@dataclass(frozen=True, slots=True)
class Done:
    """Something happened to the call ``number``: its first token came, or its last."""

    at_s: float
    number: int
    last: bool


class Server:
    """Exact between events: all running calls progress alike, so that one heap orders them."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._progress_s = 0.0  # of each running call, as if alone
        self._marks: list[tuple[float, int, bool]] = []
        self._waiting: deque[tuple[int, Work]] = deque()
        self._numbers = count()
        self.running = 0

    @property
    def waiting(self) -> int:
        """Count the calls that do not run yet."""
        return len(self._waiting)

    def submit(self, work: Work, at_s: float) -> int:
        """Take in a call; return its number. ``next`` must have been asked up to ``at_s``."""
        self._move(at_s)
        number = next(self._numbers)
        self._waiting.append((number, work))
        self._fill()
        return number

    def next(self, until_s: float) -> Done | None:
        """Return what happens next, if that is before ``until_s``."""
        if not self._marks:
            self._move(until_s)
            return None
        mark_s, number, last = self._marks[0]
        at_s = self._now_s + (mark_s - self._progress_s) / self._pace()
        if at_s > until_s:
            self._move(until_s)
            return None
        heapq.heappop(self._marks)
        self._now_s, self._progress_s = at_s, mark_s
        if last:
            self.running -= 1
            self._fill()
        return Done(at_s, number, last)

    def _pace(self) -> float:
        """Return the progress of a running call, 1 = as if alone."""
        return 1.0 / (1.0 + SHARING * (self.running - 1))

    def _move(self, to_s: float) -> None:
        if self.running:
            self._progress_s += (to_s - self._now_s) * self._pace()
        self._now_s = to_s

    def _fill(self) -> None:
        while self._waiting and self.running < SLOTS:
            number, work = self._waiting.popleft()
            heapq.heappush(self._marks, (self._progress_s + work.first_s, number, False))
            heapq.heappush(self._marks, (self._progress_s + work.whole_s, number, True))
            self.running += 1


def capacity_per_s(works: list[Work]) -> float:
    """Return the calls that the server ends in a second when there are always enough."""
    mean_s = sum(work.whole_s for work in works) / len(works)
    return SLOTS / (1.0 + SHARING * (SLOTS - 1)) / mean_s
