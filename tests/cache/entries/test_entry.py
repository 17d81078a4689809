"""Encodings of what is stored: whole, or refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kindcache.cache.entries.entry import (
    MAX_DECODED_BYTES,
    VERSION,
    Answer,
    Choice,
    IndexRecord,
    Payload,
    ToolCall,
    decode_payload,
    decode_record,
    encode,
    pack_vector,
)
from kindcache.cache.errors import CorruptRecord

CALL = Choice(None, "tool_calls", (ToolCall("1", "look_up", '{"a": 1}'),))
PAYLOAD = Payload(
    answer=Answer(
        "m",
        1_700_000_000,
        (Choice("The quick brown fox jumps over the lazy dog, 42 times.", "stop"), CALL),
        usage={"total_tokens": 7, "details": {"cached": None}},
    ),
    category="code",
    prompt="How often does the fox jump?",
    created_s=1_700_000_000.5,
    dialect="openai.chat",
    ttl_s=60.0,
    upstream_s=0.25,
)
RECORD = IndexRecord(
    partition=b"p" * 16,
    category="code",
    prompt="How often?",
    created_s=1.0,
    expires_s=2.0,
    size_bytes=3,
    embedder="e",
    vector=pack_vector(np.array([0.6, 0.8], dtype=np.float32)),
    ttl_s=None,
    principal=b"w" * 16,
    loose_partition=b"l" * 16,
    turns=("What does the fox do?",),
)

texts = st.text(max_size=20)
answers = st.builds(
    Answer,
    model=texts,
    created=st.integers(-(2**63), 2**63 - 1),
    choices=st.lists(
        st.builds(
            Choice,
            text=st.none() | texts,
            finish_reason=texts,
            tool_calls=st.lists(st.builds(ToolCall, texts, texts, texts), max_size=2).map(tuple),
            refusal=st.none() | texts,
            reasoning=st.none() | texts,
            reasoning_field=texts,
        ),
        max_size=2,
    ).map(tuple),
    usage=st.none() | st.dictionaries(texts, st.none() | st.integers(0, 2**63) | texts, max_size=2),
    system_fingerprint=st.none() | texts,
)
seconds = st.floats(allow_nan=False)
payloads = st.builds(
    Payload,
    answer=answers,
    category=texts,
    prompt=texts,
    created_s=seconds,
    dialect=texts,
    ttl_s=st.none() | seconds,
    upstream_s=seconds,
)


def stored(plain: bytes) -> bytes:
    return bytes([VERSION]) + zstandard.compress(plain)


@given(payloads)
def test_a_payload_comes_back_as_it_was(payload: Payload) -> None:
    assert decode_payload(encode(payload)) == payload


def test_a_record_comes_back_as_it_was() -> None:
    assert decode_record(encode(RECORD)) == RECORD


def test_fields_added_later_may_be_absent_and_unknown_ones_are_left_out() -> None:
    old: dict[str, Any] = msgspec.to_builtins(PAYLOAD)
    for name in ("ttl_s", "upstream_s", "model", "tags", "whose", "after"):
        del old[name]
    old["of_a_later_version"] = 1
    read = decode_payload(stored(msgspec.msgpack.encode(old)))
    assert read == replace(PAYLOAD, ttl_s=None, upstream_s=0.0)


def test_a_record_from_before_conversations_were_kept_is_read() -> None:
    old: dict[str, Any] = msgspec.to_builtins(RECORD, builtin_types=(bytes,))
    del old["loose_partition"], old["turns"]
    read = decode_record(stored(msgspec.msgpack.encode(old)))
    assert read == replace(RECORD, loose_partition=b"", turns=())


@pytest.mark.parametrize("value", [PAYLOAD, RECORD])
def test_no_flipped_bit_makes_another_answer(value: Payload | IndexRecord) -> None:
    decode = decode_payload if isinstance(value, Payload) else decode_record
    data = encode(value)
    refused = 0
    for position in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        try:
            assert decode(bytes(damaged)) == value
        except CorruptRecord:
            refused += 1
    assert refused > 7 * len(data)


def test_no_part_of_a_payload_is_taken_for_one() -> None:
    data = encode(PAYLOAD)
    for end in range(len(data)):
        with pytest.raises(CorruptRecord):
            decode_payload(data[:end])


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_as_corrupt(data: bytes) -> None:
    for junk in (data, bytes([VERSION]) + data, stored(data)):
        with pytest.raises(CorruptRecord):
            decode_payload(junk)


def test_what_was_damaged_spoils_nothing_that_comes_after_it() -> None:
    with pytest.raises(CorruptRecord):
        decode_payload(encode(PAYLOAD)[:-1])
    assert decode_payload(encode(PAYLOAD)) == PAYLOAD


def test_threads_encode_and_decode_side_by_side() -> None:
    values = [replace(PAYLOAD, prompt=chr(97 + n) * 50_000 + str(n)) for n in range(8)]

    def back_and_forth(value: Payload) -> bool:
        return all(decode_payload(encode(value)) == value for _ in range(20))

    with ThreadPoolExecutor(len(values)) as threads:
        assert all(threads.map(back_and_forth, values))


def test_another_version_is_refused_by_name() -> None:
    with pytest.raises(CorruptRecord, match="version"):
        decode_payload(bytes([VERSION + 1]) + encode(PAYLOAD)[1:])


def test_a_record_is_no_payload() -> None:
    with pytest.raises(CorruptRecord):
        decode_payload(encode(RECORD))
    with pytest.raises(CorruptRecord):
        decode_record(encode(PAYLOAD))


def test_text_that_is_not_utf8_is_refused() -> None:
    plain = msgspec.msgpack.encode(PAYLOAD)
    with pytest.raises(CorruptRecord):
        decode_payload(stored(plain.replace(b"quick", b"qu\xffck")))


def test_nesting_without_end_is_refused() -> None:
    deep: dict[str, Any] = msgspec.to_builtins(PAYLOAD)
    deep["answer"]["usage"] = msgspec.Raw(b"\x81\xa1a" * 20_000 + b"\xc0")
    with pytest.raises(CorruptRecord):
        decode_payload(stored(msgspec.msgpack.encode(deep)))


@pytest.mark.parametrize("stated", [True, False], ids=["of stated size", "of unknown size"])
def test_a_decompression_bomb_is_refused(stated: bool) -> None:
    compressor = zstandard.ZstdCompressor(level=1, write_content_size=stated)
    size = MAX_DECODED_BYTES + 1
    if stated:
        bomb = compressor.compress(bytes(size))
    else:
        stream = compressor.compressobj()
        bomb = stream.compress(bytes(size)) + stream.flush()
    with pytest.raises(CorruptRecord) as caught:
        decode_payload(bytes([VERSION]) + bomb)
    assert not isinstance(caught.value.__cause__, msgspec.DecodeError)  # it was never unpacked


def test_errors_do_not_quote_what_was_stored() -> None:
    wrong = msgspec.msgpack.encode({"answer": "private words"})
    with pytest.raises(CorruptRecord) as caught:
        decode_payload(stored(wrong))
    assert "private" not in str(caught.value)


def test_a_vector_survives_in_half_precision_and_is_a_unit_vector_again() -> None:
    rng = np.random.default_rng(1)
    vector = rng.standard_normal(64).astype(np.float32)
    vector /= np.linalg.norm(vector)
    record = replace(RECORD, vector=pack_vector(vector))
    assert len(record.vector) == 128
    again = record.decoded_vector(64)
    assert again is not None
    assert again.dtype == np.float32
    assert float(np.linalg.norm(again)) == pytest.approx(1.0, abs=1e-6)
    assert float(again @ vector) > 0.99999


def test_no_vector_stays_none() -> None:
    assert pack_vector(None) == b""
    assert replace(RECORD, vector=b"").decoded_vector(64) is None


@pytest.mark.parametrize(
    "vector",
    [b"\0" * 7, b"\0" * 4, np.array([np.nan, 1, 0], "<f2").tobytes(), b"\x00\x7c" * 3],
    ids=["odd", "short", "nan", "infinite"],
)
def test_a_vector_that_no_encoder_made_is_corrupt(vector: bytes) -> None:
    with pytest.raises(CorruptRecord):
        replace(RECORD, vector=vector).decoded_vector(3)


def test_a_zero_vector_is_near_nothing() -> None:
    vector = replace(RECORD, vector=b"\0" * 6).decoded_vector(3)
    assert vector is not None
    assert not vector.any()


def test_tool_calls_are_seen() -> None:
    assert PAYLOAD.answer.has_tool_calls
    assert not replace(PAYLOAD.answer, choices=PAYLOAD.answer.choices[:1]).has_tool_calls
