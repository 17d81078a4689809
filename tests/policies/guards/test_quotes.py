"""Quoted strings are meant to the letter; apostrophes quote nothing."""

from __future__ import annotations

import pytest

from kindcache.policies.guards.signature import signature


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('say "hello"', ("hello",)),
        ("say 'hello'", ("hello",)),
        ("say `hello`", ("hello",)),
        ("say \u201chello\u201d", ("hello",)),
        ("say \u2018hello\u2019", ("hello",)),
        ("say \u00abhello\u00bb", ("hello",)),
        ("'don't do it'", ("don't do it",)),
        ('" padded "', ("padded",)),
        ('"a" and "b" and "a"', ("a", "b")),
        # No quotations:
        ("don't, it's, I'm", ()),
        ("the users' files and the dogs' toys", ()),
        ("Alice's and Bob's", ()),
        ('a 6" pipe', ()),
        ('"two\nlines"', ()),
        ("", ()),
    ],
)
def test_quotes(text: str, found: tuple[str, ...]) -> None:
    assert signature(text).quotes == found


def test_a_block_of_code_is_one_quotation() -> None:
    one, other = (signature(f"explain\n```python\nx = {n}\ny = `z`\n```") for n in "ab")
    assert len(one.quotes) == 1
    assert one.quotes != other.quotes


def test_long_quotations_take_little_room() -> None:
    (digest,) = signature('"' + "word " * 60 + '"').quotes
    assert len(digest) < 20
    assert signature('"' + "word " * 60 + '"').quotes == (digest,)
