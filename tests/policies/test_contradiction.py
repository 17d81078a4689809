"""What two answers may differ in, and what makes them contradict each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.contradiction import SHORT, contradict
from kindcache.policies.guards.signature import LONGEST

LONG = "It is worth knowing how this works in some detail before anything is done about it. " * 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("You have 30 days to return it.", "You have 90 days to return it."),
        (f"{LONG} The fee is 5 %.", f"{LONG} The fee is 8 %."),
        ("The store opens on Monday.", "The store opens on Tuesday."),
        ("Yes, you can. " + LONG, "No, that is not possible. " + LONG),
        ("You can change it.", "You cannot change it."),
        ("Turn it on first.", "Turn it off first."),
        ("You may subscribe here.", "You may unsubscribe here."),
        ("The author of it is Melville.", "The author of it is Hawthorne."),
        ("Run it with --force then.", "Run it with --dry-run then."),
    ],
)
def test_answers_that_say_different_things(one: str, other: str) -> None:
    assert contradict(one, other)
    assert contradict(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The capital is Paris.", "It is Paris."),
        ("You have 30 days.", "You have 30 days, and 14 days for software."),
        ("Melville wrote it.", "Melville wrote it, a friend of Hawthorne."),
        (f"{LONG} Do not close it.", LONG),
        (f"{LONG} Turn it on.", f"{LONG} Turn it off."),
        ("1. Open it.\n2. Save it.", "(1) Open it.\n(2) Then go on.\n(3) Save it."),
        ("Like so: ```x = [1, 2]```", "Like so: ```x = [3, 4]```"),
        ("Like so: ```x = [1, 2]", "Like so:"),
        ("", "anything"),
    ],
)
def test_answers_that_differ_in_wording_or_detail(one: str, other: str) -> None:
    assert not contradict(one, other)
    assert not contradict(other, one)


def test_one_number_at_a_line_start_is_no_list() -> None:
    assert contradict("12. And no more", "14. And no more")


def test_what_is_too_long_to_read_agrees_with_itself_alone() -> None:
    text = "word " * LONGEST
    assert not contradict(text, text)
    assert contradict(text, text + "more")


def test_the_bound_of_short_answers_is_in_words() -> None:
    filler = "word " * (SHORT - 3)
    assert contradict(filler + "you can go", filler + "never go")
    assert not contradict(filler + "and you can go", filler + "and you never go")


@given(st.text(max_size=200), st.text(max_size=200))
def test_it_is_symmetric_and_no_text_contradicts_itself(one: str, other: str) -> None:
    assert contradict(one, other) is contradict(other, one)
    assert not contradict(one, one)
