"""What is one text typed in several ways is read as one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.guards.reading import normal, words


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("it\u2019s", "it's"),
        ("5\u201310", "5-10"),
        ("\uff12\uff10", "20"),
        ("٢٠", "20"),
        ("the U.S. economy", "the US economy"),
        ("7 p.m.", "7 pm"),
        ("e.g. this", "eg this"),
        ("cafe\u0301", "caf\u00e9"),
        ("v2", "version 2"),
        ("API v2.10.0", "API version 2.10.0"),
        # Neither abbreviations nor versions:
        ("example.com", "example.com"),
        ("/v1/chat", "/v1/chat"),
        ("v2beta", "v2beta"),
        ("End. Start", "End. Start"),
    ],
)
def test_spellings(text: str, read: str) -> None:
    assert normal(text) == read


@pytest.mark.parametrize("marks", ["\u0300\u0316", "\u0316\u0300\u0345", "\uff9e\u0316"])
def test_long_runs_of_combining_marks_are_broken_up(marks: str) -> None:
    read = normal("a" + marks * 5000)
    longest = run = 0
    for char in read:
        run = run + 1 if unicodedata.combining(char) else 0
        longest = max(longest, run)
    assert longest <= 60


@given(st.text())
def test_words_hold_no_punctuation_and_no_space(text: str) -> None:
    assert all(word.isalnum() for word in words(normal(text).casefold()))
