"""The load factor of one model: readings in, a state that moves slowly out."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.load import (
    FALL_PER_S,
    LONGEST_STEP_S,
    NOTHING,
    RISE_PER_S,
    STALE_S,
    Limits,
    Load,
    Queue,
    Readings,
    pressure,
    step,
)

NOW_S = 1000.0
LIMITS = Limits(slowdown=4.0, in_flight=100)
FULL = Readings(first_token=9.0, times_at_s=NOW_S)


def driven(load: Load, readings: Readings, seconds: int, limits: Limits = LIMITS) -> list[Load]:
    """Step once a second, the times of the readings going along."""
    states = [load]
    for _ in range(seconds):
        now_s = states[-1].at_s + 1.0
        fresh = replace(readings, times_at_s=now_s, refused_at_s=now_s, queue_at_s=now_s)
        states.append(step(states[-1], fresh, now_s, limits))
    return states


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (NOTHING, 0.0),
        (Readings(first_token=2.0, times_at_s=NOW_S), 0.0),  # a third of the way is no load
        (Readings(first_token=3.0, times_at_s=NOW_S), 0.5),
        (Readings(total=4.0, times_at_s=NOW_S), 1.0),
        (Readings(waiting=3.0), 0.5),
        (Readings(in_flight=50), 0.0),
        (Readings(in_flight=75), 0.5),
        (Readings(in_flight=500), 1.0),
        (Readings(refused=0.05, refused_at_s=NOW_S), 0.0),  # a few always are
        (Readings(refused=0.125, refused_at_s=NOW_S), 0.5),
        (Readings(queue=Queue(0, 8), queue_at_s=NOW_S), 0.0),
        (Readings(queue=Queue(4, 8), queue_at_s=NOW_S), 0.5),
        (Readings(queue=Queue(9, 0), queue_at_s=NOW_S), 1.0),
        (Readings(queue=Queue(0, 8, 0.95), queue_at_s=NOW_S), 0.25),  # crowded, yet nobody waits
        (Readings(first_token=3.0, total=4.0, times_at_s=NOW_S), 1.0),  # the highest counts
    ],
)
def test_what_each_reading_means(readings: Readings, expected: float) -> None:
    assert pressure(readings, NOW_S, LIMITS) == pytest.approx(expected)


BAD = (math.nan, math.inf, -math.inf, -3.0, None)


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_reading_is_no_load(bad: float | None) -> None:
    number = math.nan if bad is None else bad
    readings = Readings(
        first_token=bad,
        total=bad,
        times_at_s=NOW_S,
        waiting=bad,
        refused=bad,
        refused_at_s=NOW_S,
        retry_at_s=bad,
        queue=Queue(number, number, number),
        queue_at_s=NOW_S,
    )
    assert pressure(readings, NOW_S, LIMITS) == 0.0


@pytest.mark.parametrize("at_s", [NOW_S - STALE_S - 1, NOW_S + 1, math.nan, math.inf, -math.inf])
def test_what_is_too_old_or_of_the_future_is_no_load(at_s: float) -> None:
    readings = Readings(
        first_token=9.0,
        times_at_s=at_s,
        refused=1.0,
        refused_at_s=at_s,
        queue=Queue(9, 1),
        queue_at_s=at_s,
    )
    assert pressure(readings, NOW_S, LIMITS) == 0.0


def test_retry_after_keeps_refusals_in_mind_for_a_minute_at_most() -> None:
    old = NOW_S - STALE_S - 1
    held = Readings(refused=0.2, refused_at_s=old, retry_at_s=NOW_S + 30)
    assert pressure(held, NOW_S, LIMITS) == 1.0
    assert pressure(replace(held, retry_at_s=NOW_S + 3600), NOW_S, LIMITS) == 0.0
    assert pressure(replace(held, retry_at_s=NOW_S - 1), NOW_S, LIMITS) == 0.0


def test_nothing_is_known_of_calls_in_flight_without_a_bound() -> None:
    assert pressure(Readings(in_flight=10**6), NOW_S, Limits()) == 0.0


def test_it_rises_to_full_load_and_falls_back_to_rest_each_at_its_pace() -> None:
    up = driven(Load(NOW_S), FULL, 60)
    assert up[-1].factor == 1.0
    rises = [b.factor - a.factor for a, b in itertools.pairwise(up)]
    assert max(rises) <= RISE_PER_S + 1e-9
    assert min(rises) >= 0.0
    down = driven(up[-1], NOTHING, 300)
    assert down[-1].factor == 0.0
    falls = [a.factor - b.factor for a, b in itertools.pairwise(down)]
    assert max(falls) <= FALL_PER_S + 1e-9
    assert min(falls) >= 0.0


def test_small_changes_of_the_pressure_change_nothing() -> None:
    load = driven(Load(NOW_S), Readings(first_token=3.1), 60)[-1]
    for slowdown in (2.95, 3.1, 2.92, 3.05) * 3:
        after = driven(load, Readings(first_token=slowdown), 20)[-1]
        assert after.factor == pytest.approx(load.factor, abs=1e-3)
        load = after
    assert driven(load, Readings(first_token=4.0), 60)[-1].factor > load.factor
    assert driven(load, Readings(first_token=2.5), 60)[-1].factor < load.factor


def test_one_slow_second_is_no_load() -> None:
    assert driven(Load(NOW_S), FULL, 1)[-1].factor <= RISE_PER_S


@pytest.mark.parametrize("jump_s", [0.0, -5.0, -1e9, math.nan, -math.inf])
def test_a_clock_that_stands_or_goes_back_moves_nothing(jump_s: float) -> None:
    before = Load(NOW_S, 0.5, 0.5)
    after = step(before, FULL, NOW_S + jump_s, LIMITS)
    assert (after.smoothed, after.factor) == (before.smoothed, before.factor)


def test_a_clock_that_leaps_ahead_counts_as_a_few_seconds() -> None:
    before = Load(NOW_S, 1.0, 1.0)
    after = step(before, NOTHING, NOW_S + 1e6, LIMITS)
    assert after.factor >= 1.0 - FALL_PER_S * LONGEST_STEP_S - 1e-9
    assert after.at_s == NOW_S + 1e6


anything = st.none() | st.floats()


@given(
    st.lists(
        st.tuples(anything, anything, anything, anything, st.floats(), st.floats()), max_size=30
    )
)
def test_whatever_is_read_the_state_stays_within_its_bounds(
    rows: list[tuple[float | None, float | None, float | None, float | None, float, float]],
) -> None:
    load = Load(NOW_S)
    for first, total, waiting, refused, at_s, queued in rows:
        readings = Readings(
            first, total, at_s, waiting, 3, refused, at_s, at_s, Queue(queued, queued), at_s
        )
        after = step(load, readings, at_s, LIMITS)
        assert 0.0 <= after.smoothed <= 1.0
        assert 0.0 <= after.factor <= 1.0
        assert math.isfinite(after.at_s)
        assert after.factor - load.factor >= -FALL_PER_S * LONGEST_STEP_S - 1e-9
        assert after.factor - load.factor <= RISE_PER_S * LONGEST_STEP_S + 1e-9
        load = after


def test_closed_over_its_own_effect_it_settles() -> None:
    """A model whose slow-down falls as the factor rises: the factor comes to rest."""
    load, turns, moved = Load(NOW_S), 0, 0.0
    for _ in range(600):
        slowdown = 5.0 - 3.5 * load.factor
        after = driven(load, Readings(first_token=slowdown), 1)[-1]
        move = after.factor - load.factor
        if move:
            turns += moved * move < 0.0
            moved = move
        load = after
    assert 0.2 < load.factor < 0.9
    assert turns <= 2
