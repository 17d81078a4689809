"""Prompts whose answer depends on the day on which they are asked."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.guards.signature import LONGEST
from kindcache.policies.time_words import is_time_bound

IN_2026_S = 1_795_000_000.0  # in November


@pytest.mark.parametrize(
    "prompt",
    [
        "What is the weather today?",
        "WHO IS THE CURRENT PRESIDENT",
        "What's the latest version of numpy",
        "the newest phone",
        "What happened this week?",
        "What happened last week?",
        "films that come out next month",
        "What is on TV tonight",
        "Is the shop open right now?",
        "What do people wear these days?",
        "goals so far",
        "the word of the day",
        "Who won two hours ago?",
        "What should I do on Monday?",
        "events in December",
        "Best laptops of 2026",
        "Inflation in 2025",  # figures of the year before still come out
        "Elections in 2028",
        "What is new as of 2026-11-21?",
        "today\u2019s headlines",
    ],
)
def test_it_speaks_of_now(prompt: str) -> None:
    assert is_time_bound(prompt, IN_2026_S)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "How do I reverse a list in Python?",
        "Who won the world cup in 1998?",
        "What happened on 14 July 1789?",
        "Inflation in 2019",
        "What did Caesar write in December of 1066?",
        "A recipe for Christmas cookies",
        "May I use your phone?",
        "Explain the year 12 problem",
        "Add 1500 and 12000",
        "What is known of snow?",
        "Translate: at the river",
    ],
)
def test_it_does_not(prompt: str) -> None:
    assert not is_time_bound(prompt, IN_2026_S)


def test_years_are_those_of_the_answer() -> None:
    assert is_time_bound("Inflation in 2019", 1_560_000_000.0)
    assert not is_time_bound("Inflation in 2019", IN_2026_S)


def test_what_is_too_long_to_read_may_speak_of_now() -> None:
    assert is_time_bound("a" * (LONGEST + 1), IN_2026_S)


@given(st.text(max_size=200), st.floats(allow_nan=True, allow_infinity=True))
def test_no_text_and_no_clock_breaks_it(text: str, at_s: float) -> None:
    assert isinstance(is_time_bound(text, at_s), bool)


@pytest.mark.parametrize("at_s", [math.nan, math.inf, -math.inf])
def test_a_clock_without_a_time_makes_every_year_new(at_s: float) -> None:
    assert is_time_bound("Who won the world cup in 1998?", at_s)
