"""How loaded a model is: 0 at rest, 1 when it can take no more.

Pure: state in, readings in, new state out. Every reading becomes a pressure of 0 to 1, and the
highest of them counts, since any one of them can be blind: a model that refuses at once is quick.

    slow-down s (time / time at rest)        (s - b) / (f - b),  b = 1 + (f - 1) / 3
    waiting and running calls w, r           w / max(r, 1)
    share k of the key-value cache in use    0.5 (k - 0.9) / 0.1
    calls in flight n, most n*               (n / n* - 0.5) / 0.5
    share e of refused and failed answers    (e - 0.05) / 0.15

each cut to 0..1. The pressure is smoothed, e <- e + (1 - exp(-dt / 10 s)) (p - e); the load factor
follows it, no faster than its step, and turns round only for a pressure that is far away. It falls
more slowly than it rises: what it does lowers the traffic, and so the pressure that it answers to,
and a factor that gave way at once would swing.

What is absent, no number, negative or older than ``STALE_S`` counts as no load.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

STALE_S = 10.0  # a reading that is older tells nothing of now
LONGEST_STEP_S = 5.0  # a clock that jumps is worth no more than this
LONGEST_HOLD_S = 60.0  # of what a model's `retry-after` can ask for
SMOOTHING_S = 10.0  # time constant; a handful of calls must not count as load
# How far the pressure must be from the factor to turn it round. Further up than down: arrivals come
# in bursts that a model at rest copes with.
TURN_UP, TURN_DOWN = 0.25, 0.1
NEAR_AN_END = 0.1
RISE_PER_S = 0.05  # from rest to full load in 20 s
FALL_PER_S = 0.01  # and back in 100 s
CROWDED_CACHE = 0.9  # share of the key-value cache from which on calls are put off
REFUSED_FEW, REFUSED_FULL = 0.05, 0.2  # shares of refused answers: no load yet, full load


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as full load."""

    slowdown: float = 4.0  # time to first token, or of an answer of its size, over that at rest
    in_flight: int | None = None  # calls; None = nobody knows


@dataclass(frozen=True, slots=True)
class Queue:
    """What a model server says of its own queue."""

    waiting: float
    running: float
    cache_share: float = 0.0  # of the key-value cache, 0..1


@dataclass(frozen=True, slots=True)
class Readings:
    """What is known of one model now; None = nothing. ``*_at_s`` say since when."""

    first_token: float | None = None  # slow-downs: 1 = as at rest
    total: float | None = None
    times_at_s: float = 0.0
    waiting: float | None = None  # slow-down so far of those without a first token
    in_flight: int = 0
    refused: float | None = None  # share of the latest answers
    refused_at_s: float = 0.0
    retry_at_s: float | None = None  # before it the model wants no more calls
    queue: Queue | None = None
    queue_at_s: float = 0.0


NOTHING = Readings()


@dataclass(frozen=True, slots=True)
class Load:
    """The state of one model's controller."""

    at_s: float
    smoothed: float = 0.0  # pressure
    factor: float = 0.0  # what policies see
    heading: int = 0  # +1: it last rose, -1: it last fell


def step(before: Load, readings: Readings, now_s: float, limits: Limits) -> Load:
    """Return the state at ``now_s``. A clock that stood still or went back changes no figure."""
    dt_s = min(max(0.0, _number(now_s - before.at_s)), LONGEST_STEP_S)
    pressed = pressure(readings, now_s, limits)
    gain = 1.0 - math.exp(-dt_s / SMOOTHING_S)
    smoothed = _share(before.smoothed + gain * (pressed - before.smoothed))
    at_s = now_s if math.isfinite(now_s) else before.at_s
    factor, heading = _follow(before, smoothed, dt_s)
    return Load(at_s, smoothed, factor, heading)


def pressure(readings: Readings, now_s: float, limits: Limits) -> float:
    """Return the highest of the pressures, 0..1."""
    pressures = [
        _of_slowdown(readings.waiting, limits.slowdown),
        _in_flight(readings.in_flight, limits.in_flight),
    ]
    if _is_recent(readings.times_at_s, now_s):
        pressures += (
            _of_slowdown(readings.first_token, limits.slowdown),
            _of_slowdown(readings.total, limits.slowdown),
        )
    held = readings.retry_at_s is not None and 0.0 < readings.retry_at_s - now_s <= LONGEST_HOLD_S
    if held or _is_recent(readings.refused_at_s, now_s):
        beyond = _number(readings.refused) - REFUSED_FEW
        pressures.append(_share(beyond / (REFUSED_FULL - REFUSED_FEW)))
    if readings.queue is not None and _is_recent(readings.queue_at_s, now_s):
        pressures.append(_of_queue(readings.queue))
    return max(pressures)


def _follow(before: Load, smoothed: float, dt_s: float) -> tuple[float, int]:
    """Return the new factor and where it is heading; what would turn it must be worth it."""
    target = _share(smoothed)
    if target < NEAR_AN_END:  # so that the ends can be reached
        target = 0.0
    elif target > 1.0 - NEAR_AN_END:
        target = 1.0
    apart = target - before.factor
    if apart > 0.0 and (before.heading > 0 or apart > TURN_UP):
        return min(target, before.factor + RISE_PER_S * dt_s), 1
    if apart < 0.0 and (before.heading < 0 or apart < -TURN_DOWN or target == 0.0):
        return max(target, before.factor - FALL_PER_S * dt_s), -1
    return before.factor, before.heading


def _of_slowdown(slowdown: float | None, full: float) -> float:
    begin = 1.0 + (full - 1.0) / 3.0
    return _share((_number(slowdown) - begin) / (full - begin))


def _of_queue(queue: Queue) -> float:
    waiting = _share(_number(queue.waiting) / max(_number(queue.running), 1.0))
    crowded = (_number(queue.cache_share) - CROWDED_CACHE) / (1.0 - CROWDED_CACHE)
    return max(waiting, 0.5 * _share(crowded))


def _in_flight(calls: int, full: int | None) -> float:
    return 0.0 if full is None else _share((_number(calls) / full - 0.5) / 0.5)


def _is_recent(at_s: float, now_s: float) -> bool:
    return 0.0 <= now_s - at_s <= STALE_S


def _number(value: float | None) -> float:
    """Return ``value`` if it can be a reading, else 0."""
    return value if value is not None and math.isfinite(value) and value > 0.0 else 0.0


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
