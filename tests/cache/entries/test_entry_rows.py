"""Entries in columns come back as they went in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindcache.cache.asking.history import History
from kindcache.cache.entries.entry_rows import Entry, EntryRows
from kindcache.cache.ports import EntryKey, PartitionKey
from kindcache.policies.guards.signature import LONGEST, signature

_key = st.binary(min_size=16, max_size=16)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_time = st.floats(0, 4e9, allow_nan=False)


@st.composite
def _entries(draw: st.DrawFn) -> Entry:
    prompt = draw(_text)
    place, turns = draw(_key), draw(st.lists(_text, max_size=3))
    return Entry(
        key=EntryKey(draw(_key)),
        partition=PartitionKey(draw(_key)),
        category=draw(st.sampled_from(["code", "news", "default"])),
        prompt=prompt,
        signature=signature(prompt),
        created_s=draw(_time),
        expires_s=draw(_time),
        size_bytes=draw(st.integers(0, 1 << 40)),
        ttl_s=draw(st.none() | _time),
        history=draw(st.none() | st.just(History(PartitionKey(place), tuple(turns)))),
    )


@settings(deadline=None)
@given(entries=st.lists(_entries(), max_size=8), freed=st.sets(st.integers(0, 7)))
def test_what_is_kept_comes_back_also_from_rows_used_before(
    entries: list[Entry], freed: set[int]
) -> None:
    rows, kept = EntryRows(), {}
    for entry in entries:
        kept[rows.put(entry)] = entry
    for row in freed & set(kept):
        rows.free(row)
        del kept[row]
    for entry in reversed(entries):
        row = rows.put(entry)
        assert row not in kept
        kept[row] = entry
    for row, entry in kept.items():
        assert rows.entry(row, entry.expires_s) == entry
        assert rows.key(row) == entry.key
        assert rows.has_key(entry.key, row)
        assert not rows.has_key(EntryKey(bytes(b ^ 1 for b in entry.key)), row)
        assert rows.category(row) == entry.category
    assert max(kept, default=0) < 2 * len(entries) + 1


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "Don't cancel order 17 from Mr Brown on 2026-03-04, `x_y`",
        "\u4f60\u597d",
        "a" * LONGEST * 2,
    ],
)
def test_every_kind_of_signature_comes_back(prompt: str) -> None:
    rows = EntryRows()
    entry = Entry(
        EntryKey(bytes(16)), PartitionKey(bytes(16)), "c", prompt, signature(prompt), 1.0, 2.0, 3
    )
    assert rows.entry(rows.put(entry), 2.0).signature == signature(prompt)


@pytest.mark.parametrize(("key", "partition"), [(15, 16), (17, 16), (16, 0)])
def test_a_key_of_another_length_is_refused_and_takes_no_row(key: int, partition: int) -> None:
    rows = EntryRows()
    wrong = Entry(
        EntryKey(bytes(key)), PartitionKey(bytes(partition)), "c", "p", signature("p"), 1.0, 2.0, 3
    )
    with pytest.raises(ValueError, match="16 bytes"):
        rows.put(wrong)
    right = Entry(
        EntryKey(bytes(16)), PartitionKey(bytes(16)), "c", "p", signature("p"), 1.0, 2.0, 3
    )
    assert rows.put(right) == 0
