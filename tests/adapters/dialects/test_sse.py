from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.adapters.dialects.sse import Event, EventParser, frame

LIMIT = 1 << 16


def parse(*pieces: bytes, limit: int = LIMIT) -> list[Event]:
    parser = EventParser(limit_bytes=limit)
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"data: a\n\n", [Event("", b"a")]),
        (b"data:a\n\n", [Event("", b"a")]),
        (b"data:  a\n\n", [Event("", b" a")]),
        (b"data: a\r\n\r\n", [Event("", b"a")]),
        (b"data: a\r\r", [Event("", b"a")]),
        (b"data: a\r\n\ndata: b\r\r\n", [Event("", b"a"), Event("", b"b")]),
        (b"data: a\ndata: b\n\n", [Event("", b"a\nb")]),
        (b"data\ndata\n\n", [Event("", b"\n")]),
        (b"data:\n\n", [Event("", b"")]),
        (b"event: error\ndata: a\n\n", [Event("error", b"a")]),
        (b"data: a\nevent: error\n\n", [Event("error", b"a")]),
        (b"event: error\n\ndata: a\n\n", [Event("", b"a")]),
        (b": keep-alive\n\ndata: a\n:x\n\n", [Event("", b"a")]),
        (b"id: 1\nretry: 5\nunknown: 2\ndata: a\n\n", [Event("", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event("", b"a")]),
        (b"data : a\n\n", []),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"\n\n\n", []),
        ("data: grün\n\n".encode(), [Event("", "grün".encode())]),
    ],
)
def test_reads_the_standard(wire: bytes, events: list[Event]) -> None:
    assert parse(wire) == events
    assert parse(*(wire[at : at + 1] for at in range(len(wire)))) == events


def test_byte_order_mark_counts_only_at_the_start() -> None:
    assert parse(b"data: a\n\n\xef\xbb\xbfdata: b\n\n") == [Event("", b"a")]


def test_event_comes_out_as_soon_as_it_is_whole() -> None:
    parser = EventParser(limit_bytes=LIMIT)

    assert parser.feed(b"data: a\r\n") == []
    assert parser.feed(b"\r") == [Event("", b"a")]
    assert parser.feed(b"\ndata: b\n\n") == [Event("", b"b")]


LINES = st.lists(
    st.tuples(
        st.sampled_from([b"data: ", b"data:", b"event: ", b": ", b"id: ", b"", b"data", b"\xef"]),
        st.binary(max_size=6),
        st.sampled_from([b"\n", b"\r", b"\r\n"]),
    ).map(b"".join),
    max_size=12,
).map(b"".join)


@given(LINES, st.data())
def test_split_does_not_matter(wire: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8).map(sorted))
    edges = [0, *cuts, len(wire)]
    pieces = [wire[start:end] for start, end in itertools.pairwise(edges)]

    assert parse(*pieces) == parse(wire)


@given(
    st.text().filter(lambda text: "\r" not in text),
    st.sampled_from(["", "message_start", "error"]),
)
def test_frame_is_read_back(data: str, name: str) -> None:
    assert parse(frame(data.encode(), name=name)) == [Event(name, data.encode())]


def test_flush_gives_the_event_that_was_not_closed() -> None:
    parser = EventParser(limit_bytes=LIMIT)

    assert parser.feed(b"data: a\n\ndata: [DONE]") == [Event("", b"a")]
    assert parser.flush() == [Event("", b"[DONE]")]
    assert parser.flush() == []


@pytest.mark.parametrize("piece", [b"x" * 10, b"data: x\n"])
def test_holds_no_more_than_the_limit(piece: bytes) -> None:
    parser = EventParser(limit_bytes=100)

    events = [event for _ in range(1000) for event in parser.feed(piece)]

    assert parser.overflowed
    assert events == []
    assert parser.feed(b"\n\ndata: a\n\n") == []
    assert parser.flush() == []


def test_many_events_are_no_overflow() -> None:
    assert len(parse(*[b"data: x\n\n"] * 1000, limit=100)) == 1000
