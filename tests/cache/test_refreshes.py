"""Which stale answers are being refreshed."""

from __future__ import annotations

from kindcache.cache.ports import EntryKey
from kindcache.cache.refreshes import PAUSE_S, REMEMBERED, Refreshes
from tests.conftest import FakeClock

ONE, OTHER = EntryKey(b"one"), EntryKey(b"other")


class Purse:
    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> int:
        return self.left


def test_each_answer_is_refreshed_once_at_a_time(clock: FakeClock) -> None:
    refreshes = Refreshes(clock, Purse(9))
    assert refreshes.begin(ONE)
    assert not refreshes.begin(ONE)
    assert refreshes.allow(ONE)
    refreshes.end(ONE, refreshed=True)
    assert refreshes.begin(ONE)


def test_a_failed_refresh_is_tried_again_after_a_pause(clock: FakeClock) -> None:
    refreshes = Refreshes(clock, Purse(9))
    refreshes.begin(ONE)
    refreshes.end(ONE, refreshed=False)
    assert refreshes.allow(ONE)
    assert not refreshes.begin(ONE)
    assert refreshes.begin(OTHER)
    clock.advance(PAUSE_S)
    assert refreshes.begin(ONE)


def test_a_clock_that_goes_back_ends_the_pause(clock: FakeClock) -> None:
    refreshes = Refreshes(clock, Purse(9))
    refreshes.begin(ONE)
    refreshes.end(ONE, refreshed=False)
    clock.advance(-86400.0)
    assert refreshes.begin(ONE)


def test_what_is_under_way_is_paid_for_in_advance(clock: FakeClock) -> None:
    purse = Purse(1)
    refreshes = Refreshes(clock, purse)
    assert refreshes.allow(OTHER)
    assert refreshes.begin(ONE)
    assert not refreshes.allow(OTHER)
    assert not refreshes.begin(OTHER)
    assert refreshes.allow(ONE)  # its refresh is coming
    purse.left = 0
    refreshes.end(ONE, refreshed=True)
    assert not refreshes.allow(ONE)


def test_failures_are_remembered_within_bounds(clock: FakeClock) -> None:
    refreshes = Refreshes(clock, Purse(9))
    for number in range(REMEMBERED + 1):
        key = EntryKey(str(number).encode())
        refreshes.begin(key)
        refreshes.end(key, refreshed=False)
    assert refreshes.begin(EntryKey(b"0"))
    assert not refreshes.begin(EntryKey(b"1"))
