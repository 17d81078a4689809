"""Partitions and exact keys."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.cache.asking.fingerprint import compatibility, exact_key, partition
from kindcache.cache.asking.scope import Scope
from kindcache.cache.ports import PartitionKey
from kindcache.policies.facts import Call

PLACE = PartitionKey(b"p" * 16)
short = st.binary(max_size=3)


def call(dialect: str = "d", **frame: object) -> Call:
    return Call(dialect, "/v1", "m", "prompt", stream=False, wants_usage=False, frame=frame)


three = st.lists(short, min_size=3, max_size=3)


@given(three, st.integers(0, 2), short)
def test_a_partition_depends_on_each_of_its_parts(
    parts: list[bytes], at: int, value: bytes
) -> None:
    def place(scope: bytes, shape: bytes, embedder: bytes) -> PartitionKey:
        return partition(Scope(scope), shape, embedder.hex())

    changed = [*parts[:at], value, *parts[at + 1 :]]
    assert (place(*parts) == place(*changed)) == (parts == changed)
    assert len(place(*parts)) == 16


@given(three, st.integers(0, 2), short)
def test_compatibility_depends_on_dialect_target_and_version(
    parts: list[bytes], at: int, value: bytes
) -> None:
    def shape(dialect: bytes, target: bytes, vary: bytes) -> bytes:
        return compatibility(call(dialect.hex()), target, vary)

    changed = [*parts[:at], value, *parts[at + 1 :]]
    assert (shape(*parts) == shape(*changed)) == (parts == changed)


def test_compatibility_depends_on_the_frame_after_blanking() -> None:
    def blank(text: str) -> str:
        return text.replace("today", "*")

    assert compatibility(call(a=1), b"", b"") != compatibility(call(a=2), b"", b"")
    today, some_day = call(system="today"), call(system="*")
    assert compatibility(today, b"", b"") != compatibility(some_day, b"", b"")
    assert compatibility(today, b"", b"", [blank]) == compatibility(some_day, b"", b"", [blank])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\u00e9", "cafe\u0301"),
        ("a\r\nb", "a\nb"),
        ("  a b ", "a b"),
        ("a\n", "a"),
        ("\u00a0a", "a"),
    ],
)
def test_wordings_that_are_one_to_the_letter(one: str, other: str) -> None:
    assert exact_key(PLACE, one) == exact_key(PLACE, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a  b", "a b"),
        ("a\tb", "a b"),
        ("a", "A"),
        ("if x:\n    y", "if x:\n  y"),
        ("x\u00b2", "x2"),
        ("a?", "a"),
        ("a\rb", "a\nb"),
        ("", "a"),
    ],
)
def test_wordings_that_are_two(one: str, other: str) -> None:
    assert exact_key(PLACE, one) != exact_key(PLACE, other)


@given(st.text(), st.text())
def test_only_equal_normal_forms_share_a_key(one: str, other: str) -> None:
    def normal(text: str) -> str:
        return unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip()

    assert (exact_key(PLACE, one) == exact_key(PLACE, other)) == (normal(one) == normal(other))


def test_a_key_belongs_to_one_partition() -> None:
    assert exact_key(PLACE, "a") != exact_key(PartitionKey(b"q" * 16), "a")
