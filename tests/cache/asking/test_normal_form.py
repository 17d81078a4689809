"""Normal form in linear time."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.cache.asking.normal_form import nfc


@given(st.text(max_size=200))
def test_ordinary_text_is_put_into_nfc(text: str) -> None:
    assert nfc(text) in {unicodedata.normalize("NFC", text), text}
    assert unicodedata.normalize("NFC", nfc(text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("caf\u0065\u0301", "caf\u00e9"),
        ("\uac00", "\uac00"),
        ("\u1100\u1161", "\uac00"),
        ("a", "a"),
    ],
)
def test_equal_spellings_become_one(text: str, expected: str) -> None:
    assert nfc(text) == expected


def test_a_hundred_kilobytes_of_marks_take_no_longer_than_of_letters() -> None:
    started = time.perf_counter()
    nfc("a" + "\u0301\u0323" * 50_000)
    assert time.perf_counter() - started < 1.0  # the plain way takes twenty seconds
