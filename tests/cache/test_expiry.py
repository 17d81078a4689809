"""The heap of expiries gives what is due in order, and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kindcache.cache.expiry import Expiry

_times = st.lists(st.floats(0, 100, allow_nan=False), max_size=60)


def _all_due(expiry: Expiry, now_s: float) -> list[tuple[float, int]]:
    due = []
    while (one := expiry.pop_due(now_s)) is not None:
        due.append(one)
    return due


@given(first=_times, later=_times, now_s=st.floats(0, 100, allow_nan=False))
def test_what_is_due_comes_in_order_and_the_rest_stays(
    first: list[float], later: list[float], now_s: float
) -> None:
    expiry, known = Expiry(), []
    for row, expires_s in enumerate(first):
        expiry.push(expires_s, row)
        known.append((expires_s, row))
    got = _all_due(expiry, now_s)
    for row, expires_s in enumerate(later, len(first)):
        expiry.push(expires_s, row)
        known.append((expires_s, row))
    rest = _all_due(expiry, 1000.0)
    assert [at for at, _ in got] == sorted(at for at in first if at <= now_s)
    assert [at for at, _ in rest] == sorted(at for at, _ in rest)
    assert sorted(got + rest) == sorted(known)


def test_a_rebuilt_heap_holds_just_what_it_was_given() -> None:
    expiry = Expiry()
    for row in range(50):
        expiry.push(1.0, row)
    expiry.rebuild([(3.0, 7), (2.0, 8)])
    expiry.push(2.5, 9)
    assert len(expiry) == 3
    assert _all_due(expiry, 2.9) == [(2.0, 8), (2.5, 9)]
    assert expiry.pop_due(2.9) is None
