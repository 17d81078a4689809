"""Numbers are compared as values with their units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.guards.signature import signature


def numbers(text: str) -> tuple[str, ...]:
    return signature(text).numbers


SAME = [
    ("1,000 rows", "1000 rows"),
    ("1'000 rows", "1 000 rows"),
    ("1,234,567.5", "1 234 567.5"),
    ("two hundred rows", "200 rows"),
    ("a hundred rows", "one hundred rows"),
    ("one hundred and five", "105"),
    ("two thousand five hundred", "2500"),
    ("three million two hundred thousand", "3,200,000"),
    ("twenty-five", "25"),
    ("$1.5 million", "1,500,000 dollars"),
    ("20 thousand", "20,000"),
    ("a dozen eggs", "12 eggs"),
    ("twice a day", "two times a day"),
    ("half of it", "0.5"),
    ("one week", "1 week"),
    ("the 1st", "the first"),
    ("my second try", "my 2nd try"),
    ("third place", "3rd place"),
    ("20%", "20 percent"),
    ("20 per cent", "20 pct"),
    ("$5", "5 dollars"),
    ("$5.00", "USD 5"),
    ("€5", "5 EUR"),
    ("5kg", "5 kilograms"),
    ("2.50 kg", "2.5 kg"),
    ("a 5-minute break", "a five minute break"),
    ("30 °C", "30 degrees celsius"),
    ("30°", "30 degrees"),
    ("30 degrees outside", "30 degrees"),
    ("step 5 c", "step 5"),
    ("two three", "2, 3"),
    ("five thousand six seven", "5006 and 7"),
    ("100 km/h", "100 kph"),
    ("7am", "7:00 AM"),
    ("7 p.m.", "19:00"),
    ("12 am", "12:00 am"),
    ("2024-01-05", "2024/1/5"),
    ("5 May", "May 5th"),
    ("\u22125", "-5"),
    ("2020-2024", "2020 to 2024"),
    ("5 and 3", "3 and 5"),
    ("第5章", "5"),
    ("٢٠", "20"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_value_in_two_spellings(one: str, other: str) -> None:
    assert numbers(one) == numbers(other) != ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("two", "three"),
        ("5", "-5"),
        (".5 mg", ".6 mg"),
        ("5 kg", "5 lb"),
        ("5 kg", "5"),
        ("$5", "€5"),
        ("$5", "5"),
        ("5 minutes", "5 hours"),
        ("7 am", "7 pm"),
        ("12 am", "12 pm"),
        ("30 °C", "30 °F"),
        ("2024-01-05", "2024-05-01"),
        ("5/6/2024", "6/5/2024"),
        ("3:1", "1:3"),
        ("1/2", "2/1"),
        ("the first", "the second"),
        ("2 + 2", "2"),
        ("5 million", "5 billion"),
        ("第5章", "第6章"),
        ("1.2.3", "1.3.2"),
        # In doubt they differ:
        ("1,5", "1.5"),
        ("1,5", "15"),
        ("1.000", "1"),
        ("1.000", "1000"),
        ("3.10", "3.1"),
        ("7:00", "7 am"),
        ("5 lb", "5 pounds"),
        ("0042", "42"),
        ("2 thousand five", "2005"),
    ],
)
def test_different_values(one: str, other: str) -> None:
    assert numbers(one) != numbers(other)


@pytest.mark.parametrize(
    "text",
    [
        "which one is best",
        "one of them",
        "first, open the file",
        "every second counts",
        "several thousand files",
        "a third party and third-party code",
        "half asleep",
        "h264 and 4k and 4k8 and v2beta",
        "someone, often, attention",
        "",
    ],
)
def test_no_numbers(text: str) -> None:
    assert numbers(text) == ()


@given(st.integers(0, 10**12))
def test_thousands_separators_carry_nothing(value: int) -> None:
    assert numbers(f"{value:,} rows") == numbers(f"{value} rows")


@given(st.lists(st.integers(10, 99), max_size=6))
def test_order_carries_nothing(values: list[int]) -> None:
    one, other = (" and ".join(map(str, order)) for order in (values, values[::-1]))
    assert numbers(one) == numbers(other)


@given(st.lists(st.integers(0, 999), min_size=2, max_size=2, unique=True))
def test_two_values_differ(values: list[int]) -> None:
    assert numbers(f"{values[0]} rows") != numbers(f"{values[1]} rows")
