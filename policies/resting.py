"""What calls of one kind take while a model has nothing else to do, learnt from the calls.

The calls of half a minute or more, thirty at least, make a mean (of logarithms: a single long
answer must not move it); the lowest mean of the last six hours is the time at rest. A model that is
slow for longer than that counts as one that is slow by nature. Times are softened by a tenth of a
second, so that 40 ms after 10 ms are no load.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

WINDOW_S = 30.0
LONGEST_S = 3600.0  # of a window: calls that lie further apart say nothing together
FEWEST_CALLS = 30
MEMORY_S = 6 * 3600.0
SOFTENED_S = 0.1


@dataclass(frozen=True, slots=True)
class Rest:
    """What is known of one kind of calls. ``lows`` rise: an older mean above a newer one is out."""

    lows: tuple[tuple[float, float], ...] = ()  # (end of its window in s, mean logarithm)
    since_s: float = 0.0
    calls: int = 0
    total: float = 0.0  # of logarithms, of the window that is open


def learn(rest: Rest, taken_s: float, now_s: float) -> Rest:
    """Take in a call that took ``taken_s``. What is no time, or a clock that went back, is left."""
    if not (math.isfinite(taken_s) and taken_s >= 0.0 and math.isfinite(now_s)):
        return rest
    if rest.calls == 0 or not 0.0 <= now_s - rest.since_s <= LONGEST_S:
        rest = replace(rest, since_s=now_s, calls=0, total=0.0)
    calls, total = rest.calls + 1, rest.total + math.log(taken_s + SOFTENED_S)
    if calls < FEWEST_CALLS or now_s - rest.since_s < WINDOW_S:
        return replace(rest, calls=calls, total=total)
    mean = total / calls
    kept = [low for low in rest.lows if low[1] < mean and 0.0 <= now_s - low[0] <= MEMORY_S]
    return Rest((*kept, (now_s, mean)))


def slowdown(rest: Rest, taken_s: float) -> float | None:
    """Return how many times longer than at rest a call took; None while nobody knows."""
    known = at_rest_s(rest)
    if known is None or not (math.isfinite(taken_s) and taken_s >= 0.0):
        return None
    return (taken_s + SOFTENED_S) / (known + SOFTENED_S)


def at_rest_s(rest: Rest) -> float | None:
    """Return the time at rest in seconds, None before the first window is full."""
    return math.exp(rest.lows[0][1]) - SOFTENED_S if rest.lows else None
