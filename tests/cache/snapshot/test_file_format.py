"""A file that is not whole, or not ours, is not used; not a bit of it."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from tempfile import TemporaryFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindcache.cache.snapshot.file_format import FRAME_BYTES, FileSink, FileSource
from kindcache.cache.snapshot.memory_file import memory_file
from kindcache.cache.snapshot.sections import (
    Unusable,
    put_array,
    put_facts,
    put_strings,
    take_array,
    take_facts,
    take_strings,
)
from kindcache.cache.stores.sealing import Keys, parse_keys

KEY, OTHER = b"k" * 32, b"o" * 32
SEALS = parse_keys("11" * 32, "KEYS")
STRINGS = [b"", b"a", "grün".encode()]
LARGE = np.arange(FRAME_BYTES // 2, dtype=np.int64)  # several frames


def written(key: bytes = KEY, seals: Keys | None = None, *, large: bool = False) -> bytes:
    file = BytesIO()
    sink = FileSink(file, key, seals)
    put_facts(sink, "facts", [1, "two"])
    put_array(sink, "numbers", LARGE if large else LARGE[:9])
    put_strings(sink, "strings", STRINGS)
    sink.put("pieces", 5, [b"ab", b"", b"cde"])
    sink.finish()
    return file.getvalue()


def read(data: bytes, key: bytes = KEY, seals: Keys | None = None) -> Iterable[object]:
    with TemporaryFile() as file:
        file.write(data)
        source = FileSource(file, key, seals)
        facts = take_facts(source, "facts", list[int | str])
        numbers = take_array(source, "numbers", np.int64)
        strings = take_strings(source, "strings")
        size, pieces = source.take("pieces")
        return facts, numbers.tolist(), strings, size, b"".join(pieces)


@pytest.mark.parametrize("seals", [None, SEALS])
@pytest.mark.parametrize("large", [False, True])
def test_sections_come_back(seals: Keys | None, large: bool) -> None:
    data = written(seals=seals, large=large)
    numbers = (LARGE if large else LARGE[:9]).tolist()
    assert read(data, seals=seals) == ([1, "two"], numbers, STRINGS, 5, b"abcde")


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255), sealed=st.booleans())
@settings(max_examples=300, deadline=None)
def test_one_byte_of_difference_is_found_before_anything_is_read(
    at: int, flip: int, sealed: bool
) -> None:
    seals = SEALS if sealed else None
    data = bytearray(written(seals=seals))
    data[at % len(data)] ^= flip
    with pytest.raises(Unusable):
        read(bytes(data), seals=seals)


@given(length=st.integers(0, 10_000), more=st.binary(max_size=40))
def test_a_file_of_another_length_is_found(length: int, more: bytes) -> None:
    data = written()
    shorter = data[: length % len(data)]
    for other in (shorter, data + more) if more else (shorter,):
        with pytest.raises(Unusable):
            read(other)


@given(data=st.binary(max_size=300))
def test_what_is_no_snapshot_is_found(data: bytes) -> None:
    for other in (data, b"kcsnap\x01\x00" + data):
        with pytest.raises(Unusable):
            read(other)


def test_it_is_said_why() -> None:
    cases = [
        (written(OTHER), None, "OtherSecret"),
        (written(seals=SEALS), None, "OtherEncryption"),
        (written(), SEALS, "OtherEncryption"),
        (written(seals=parse_keys("22" * 32, "KEYS")), SEALS, "OtherEncryption"),
        (b"kcsnap\x02" + written()[7:], None, "OtherVersion"),
        (b"", None, "Damaged"),
    ]
    for data, seals, why in cases:
        with pytest.raises(Unusable) as caught:
            read(data, seals=seals)
        assert caught.value.why == why


def test_a_sealed_frame_opens_in_its_own_file_and_place_only() -> None:
    one, other = written(seals=SEALS, large=True), written(seals=SEALS, large=True)
    assert one[40:2000] != other[40:2000]
    assert "grün".encode() not in one


def test_sections_must_be_asked_for_in_their_order() -> None:
    with TemporaryFile() as file:
        file.write(written())
        source = FileSource(file, KEY, None)
        with pytest.raises(Unusable, match="Damaged"):
            source.take("numbers")


def test_a_section_must_have_the_size_that_was_said() -> None:
    with pytest.raises(ValueError, match="3 bytes, not 4"):
        FileSink(BytesIO(), KEY, None).put("x", 4, [b"abc"])


def test_a_file_in_memory_gives_back_what_was_written() -> None:
    with memory_file() as file:
        file.fill([b"ab", b"", b"c" * 3_000_000])
        assert file.size_bytes == 3_000_002
        assert b"".join(file.pieces()) == b"ab" + b"c" * 3_000_000
