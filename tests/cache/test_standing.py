"""Whose credential is good: what the upstream said lately decides."""

from __future__ import annotations

from kindcache.cache.asking.scope import SHARED, Principal
from kindcache.cache.standing import Standing

WINDOW_S = 100.0
ALICE, BOB = Principal(b"a" * 16), Principal(b"b" * 16)


def numbered(number: int) -> Principal:
    return Principal(number.to_bytes(16))


def test_the_making_of_an_answer_was_a_success() -> None:
    standing = Standing(WINDOW_S)
    assert standing.good(ALICE, created_s=0.0, now_s=WINDOW_S - 1)
    assert not standing.good(ALICE, created_s=0.0, now_s=WINDOW_S)


def test_a_later_success_keeps_older_answers_readable_for_the_window() -> None:
    standing = Standing(WINDOW_S)
    standing.succeeded(ALICE, 500.0)
    assert standing.good(ALICE, created_s=0.0, now_s=599.0)
    assert not standing.good(ALICE, created_s=0.0, now_s=600.0)
    assert not standing.good(BOB, created_s=0.0, now_s=599.0)


def test_a_success_that_comes_in_late_does_not_take_time_away() -> None:
    standing = Standing(WINDOW_S)
    standing.succeeded(ALICE, 500.0)
    standing.succeeded(ALICE, 400.0)
    assert standing.good(ALICE, created_s=0.0, now_s=599.0)


def test_the_refused_get_nothing_until_they_succeed() -> None:
    standing = Standing(WINDOW_S)
    standing.succeeded(ALICE, 10.0)
    standing.refused(ALICE)
    assert not standing.good(ALICE, created_s=10.0, now_s=11.0)
    assert standing.good(BOB, created_s=10.0, now_s=11.0)
    standing.succeeded(ALICE, 12.0)
    assert standing.good(ALICE, created_s=10.0, now_s=13.0)


def test_those_who_share_have_no_key_that_could_be_revoked() -> None:
    standing = Standing(WINDOW_S)
    standing.refused(SHARED)
    assert standing.good(SHARED, created_s=0.0, now_s=1e9)


def test_the_longest_without_success_are_forgotten_first_and_must_succeed_again() -> None:
    standing = Standing(WINDOW_S, size=3)
    for number in range(3):
        standing.succeeded(numbered(number), 500.0)
    standing.succeeded(numbered(0), 500.0)
    standing.succeeded(numbered(3), 500.0)
    good = [standing.good(numbered(number), created_s=0.0, now_s=501.0) for number in range(4)]
    assert good == [True, False, True, True]


def test_refusals_are_bounded_too() -> None:
    standing = Standing(WINDOW_S, size=3)
    for number in range(10):
        standing.refused(numbered(number))
    good = [standing.good(numbered(number), created_s=0.0, now_s=1.0) for number in range(10)]
    assert good == [True] * 7 + [False] * 3
