"""The signature of any text: never an error, small, and in bounded time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kindcache.policies.guards.signature import LONGEST, signature
from kindcache.policies.guards.verdict import Objection, objection

LIMIT_S = 0.05
RUNS = (
    *"\"'/.0-_`“«~(1aA$#*%@+ \n:,éЖ中٢\u0300",
    *("-.", "/.", "1,", "1.", "a_", "a-", "-a ", "I can't ", "not ", "0-", "a1-", "aB", "~/", "“a"),
    *("1 ", "a@", "1:", "two ", "one hundred ", "turn a a a ", "from a to b ", "May ", "v1.", "$1"),
    *("1 000 ", "neither ", "'a'a", "``` ", "A.", "\u0300\u0316", "\uff9e\u0316", "5 usd ", "1st "),
    *("half ", "in-", " ' ", "first second ", "2 thousand ", "degrees ", "\ud800", "Ab "),
)
# Weighted to what the guards look for.
TEXTS = st.one_of(
    st.text(),
    st.lists(
        st.one_of(
            st.sampled_from([*RUNS, "not", "from", "to", "$5", "7 pm", "Alice", "disable", '"x"']),
            st.text(max_size=8),
            st.integers().map(str),
        ),
        max_size=30,
    ).map(" ".join),
)


def spent_s(text: str) -> float:
    """Return the least processor time of two readings, as other work may interrupt one."""
    readings = []
    for _ in range(2):
        began = time.process_time()
        signature(text)
        readings.append(time.process_time() - began)
    return min(readings)


@given(TEXTS)
@example("\ud800")
@example("İstanbul'da İ")
@example("one hundred " * 1000)
@example("9" * 5000 + " thousand")
def test_any_text_agrees_with_itself(text: str) -> None:
    assert objection(signature(text), signature(text)) is None


@given(TEXTS, TEXTS)
def test_objections_are_symmetric(one: str, other: str) -> None:
    mine, stored = signature(one), signature(other)
    assert objection(mine, stored) is objection(stored, mine)


@pytest.mark.parametrize("run", RUNS)
def test_no_text_takes_long(run: str) -> None:
    """Four times the text takes four times as long, and a very long one is not read."""
    shapes: tuple[Callable[[int], str], ...] = (
        lambda n: run * n,
        lambda n: run + " " * n + run,
        lambda n: run + "x" * n,
    )
    for shape in shapes:
        short, long = shape(LONGEST)[: LONGEST // 4], shape(LONGEST)[:LONGEST]
        assert spent_s(long) < max(LIMIT_S, 8 * spent_s(short))
        assert spent_s(shape(100_000)[:100_000]) < LIMIT_S


@pytest.mark.parametrize("run", ["x ", "May ", "a b ", "$1 ", '"a" ', "a_b "])
def test_no_pair_takes_long(run: str) -> None:
    text = (run * LONGEST)[: LONGEST - 2]
    mine, stored = signature(text + "p"), signature("q" + text)
    began = time.process_time()
    objection(mine, stored)
    assert time.process_time() - began < LIMIT_S


def test_a_text_too_long_to_read_agrees_with_itself_alone() -> None:
    long = "word " * LONGEST
    assert objection(signature(long), signature(long)) is None
    assert objection(signature(long), signature(long + "!")) is Objection.LENGTH
    assert objection(signature(long), signature("word")) is Objection.LENGTH


@pytest.mark.parametrize(
    ("text", "most_bytes"),
    [
        ("how do i reset the password of my account", 400),
        ("Move the notes of my meeting with Alice from Monday to Friday at 7 pm, please", 1200),
        ("word " * 10_000, 400),
    ],
)
def test_signatures_are_small(text: str, most_bytes: int) -> None:
    found = signature(text)
    size = sys.getsizeof(found)
    for field in fields(found):
        value = getattr(found, field.name)
        if value:  # the empty ones are shared
            size += sys.getsizeof(value)
        if isinstance(value, tuple):
            size += sum(map(sys.getsizeof, value))
    assert size < most_bytes
