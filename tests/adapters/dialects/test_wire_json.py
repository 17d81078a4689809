from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.adapters.dialects.wire_json import (
    MAX_BRACKETS,
    MAX_DEPTH,
    NotJson,
    decode,
    decode_unambiguous,
    without_member,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_reads_what_others_write(value: Any, ascii_only: bool, indent: int | None) -> None:
    wire = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    assert decode_unambiguous(wire) == value


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"{",
        b"{} x",
        b"nul",
        b"[NaN]",
        b"[1e400]",
        b"1" * 5000,
        b'"\xff"',
        b'"\\ud800 lone"',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
    ],
)
def test_refuses_what_is_not_json(wire: bytes) -> None:
    with pytest.raises(NotJson):
        decode(wire)


@pytest.mark.parametrize(
    "wire",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"b":[{"c":1,"c":2}]}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":1,"a":1,"b":"\\u0022"}',
        b'{"a":1,"a":"\\u0022\\u0022\\u0022"}',
        b'{"a":"\\"","a":1}',
        b'{"":1,"":2}',
    ],
)
def test_refuses_repeated_keys(wire: bytes) -> None:
    assert decode(wire)
    with pytest.raises(NotJson):
        decode_unambiguous(wire)


@pytest.mark.parametrize(
    "wire",
    [
        b'{"a":"\\u0022","b":"\\\\u0022"}',
        b'{"a":"\\"a\\":1,\\"a\\":2"}',
        b'[{"a":1},{"a":2}]',
        b'{"a":{"a":{"a":1}}}',
        b'{"a":"\\\\\\"" , "b" : "\\u005c\\u005C"}',
    ],
)
def test_accepts_equal_looking_keys_that_are_not_repeated(wire: bytes) -> None:
    assert decode_unambiguous(wire) == json.loads(wire)


def test_nesting_is_bounded() -> None:
    allowed = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert decode_unambiguous(allowed) == json.loads(allowed)
    assert len(decode_unambiguous(b"[" + b"[]," * 500 + b"[]]")) == 501
    with pytest.raises(NotJson):
        decode_unambiguous(b"[" + allowed + b"]")


def test_size_of_the_tree_is_bounded() -> None:
    decode_unambiguous(b"[" + b"[]," * (MAX_BRACKETS - 2) + b"[]]")
    with pytest.raises(NotJson):
        decode_unambiguous(b"[" + b"[]," * (MAX_BRACKETS - 1) + b"[]]")


def test_removes_one_member_and_leaves_the_others_as_they_were() -> None:
    wire = (
        b'{ "z":1.50, "cache": {"ttl": 5} ,"big":123456789012345678901234567890,'
        b' "e":1E5,"u":"\\u00e9\xc3\xa9"}'
    )

    assert without_member(wire, "cache") == (
        b'{"z":1.50,"big":123456789012345678901234567890,"e":1E5,"u":"\\u00e9\xc3\xa9"}'
    )
    assert without_member(b'{"cache":{}}', "cache") == b"{}"
    assert without_member(b'{"c\\u0061che":{},"a":{"cache":1}}', "cache") == b'{"a":{"cache":1}}'


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_without_member_keeps_the_rest(members: dict[str, Any]) -> None:
    wire = json.dumps({**members, "cache": 1}, indent=1).encode()

    left = without_member(wire, "cache")

    members.pop("cache", None)
    assert list(msgspec.json.decode(left).items()) == list(members.items())
