"""Units as people write them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.config.units import (
    format_duration,
    format_share,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)

DURATION = 'a duration such as "500ms", "5m", "1h30m" or "7d"; a plain number is seconds'
SIZE = 'a size such as "64MB" or "4MiB"; a plain whole number is bytes'
SHARE = 'a share such as "30%" or 0.3, above 0 and at most 1'
BAD_NUMBERS: list[object] = [
    True,
    False,
    None,
    [],
    {},
    math.nan,
    math.inf,
    -math.inf,
    "",
    " ",
    "nan",
    "-5",
    "1e9",
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("5m", 300),
        ("1h", 3600),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1d2h3m4s5ms", 93_784.005),
        ("1.5h", 5400),
        (" 10 s ", 10),
        ("300", 300),
        (300, 300),
        (0.25, 0.25),
    ],
)
def test_durations_are_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5 parsecs", 'unknown unit "parsecs"; nearest: "s"'),
        ("5 minutes", 'unknown unit "minutes"; nearest: "m"'),
        ("5M", 'unknown unit "M"; nearest: "m"'),
        ("1h30mins", 'unknown unit "mins"; nearest: "m"'),
        ("3 fortnights", 'unknown unit "fortnights"; known: ms, s, m, h, d, w'),
        ("30m1h", "name each unit once, large ones first, as in 1h30m"),
        ("1h1h", "name each unit once, large ones first, as in 1h30m"),
        ("1h30", f"is not a duration; write {DURATION}"),
        ("soon", f"is not a duration; write {DURATION}"),
        ("-5m", f"is not a duration; write {DURATION}"),
        ("1:30", f"is not a duration; write {DURATION}"),
        ("\u0665m", f"is not a duration; write {DURATION}"),
        ("0s", f"must be above 0; write {DURATION}"),
        (0, f"must be above 0; write {DURATION}"),
        (-1, f"must be above 0; write {DURATION}"),
        (True, f"is not {DURATION}"),
        (math.nan, f"is not finite; write {DURATION}"),
        (math.inf, f"is not finite; write {DURATION}"),
        pytest.param(10**400, "is over 100 years", id="huge"),
        ("101000w", "is over 100 years"),
        pytest.param("9" * 5000 + "s", f"is not a duration; write {DURATION}", id="long"),
    ],
)
def test_bad_durations_say_what_is_accepted(text: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("64MB", 64_000_000), ("4MiB", 4 << 20), ("1.5 kB", 1500), ("7B", 7), ("9", 9), (9, 9)],
)
def test_sizes_are_bytes(text: object, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("64mb", 'unknown unit "mb"; nearest: "MB"'),
        ("64M", 'unknown unit "M"; nearest: "MB"'),
        ("64 megabytes", 'unknown unit "megabytes"; nearest: "MB"'),
        ("64Mib", 'unknown unit "Mib"; nearest: "MiB"'),
        ("big", f"is not a size; write {SIZE}"),
        ("0MB", f"must be above 0; write {SIZE}"),
        (-1, f"must be above 0; write {SIZE}"),
        (1.5, "is not a whole number of bytes"),
        ("0.5B", "is not a whole number of bytes"),
        ("2000TiB", "is over 1 PiB"),
        (True, f"is not {SIZE}"),
        (math.inf, f"is not finite; write {SIZE}"),
    ],
)
def test_bad_sizes_say_what_is_accepted(text: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "share"), [("30%", 0.3), ("7%", 0.07), ("100 %", 1), ("0.3", 0.3), (0.3, 0.3), (1, 1)]
)
def test_shares_are_fractions(text: object, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (30, 'is above 1; for a percentage write "30%"'),
        ("101%", f"is out of range; write {SHARE}"),
        (0, f"is out of range; write {SHARE}"),
        ("0%", f"is out of range; write {SHARE}"),
        (-0.1, f"is out of range; write {SHARE}"),
        ("a third", f"is not {SHARE}"),
        ("%", f"is not {SHARE}"),
        (True, f"is not {SHARE}"),
        (math.nan, f"is not finite; write {SHARE}"),
    ],
)
def test_bad_shares_say_what_is_accepted(text: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_share(text)


@pytest.mark.parametrize("parse", [parse_duration, parse_size, parse_share])
@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused(parse: object, value: object) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match=r"."):
        parse(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250ms"), (1, "1s"), (1.5, "1.5s"), (90, "1m30s"), (604_800, "7d"), (0.0004, "0.4ms")],
)
def test_durations_are_shown_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=1, max_value=10**12))
def test_whole_milliseconds_survive_writing_and_reading(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(min_value=1, max_value=1 << 50))
def test_sizes_survive_writing_and_reading(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@given(st.integers(min_value=1, max_value=10_000))
def test_shares_survive_writing_and_reading(parts: int) -> None:
    share = parts / 10_000
    assert parse_share(format_share(share)) == share


@given(st.text(max_size=60))
def test_any_text_is_a_number_above_zero_or_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_share):
        try:
            assert parse(text) > 0
        except ValueError as exc:
            assert str(exc)  # noqa: PT017 - either outcome is right
