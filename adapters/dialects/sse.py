"""Server-sent events: bytes split anywhere to events, and events to bytes.

Follows the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream"; the fields ``id``
and ``retry`` matter to reconnecting readers only and are skipped.
"""

from __future__ import annotations

from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its name ("" = not named) and its data, lines joined by a line feed."""

    name: str
    data: bytes


class EventParser:
    """Turns the bytes of a stream into events, however they are split.

    Holds at most ``limit_bytes`` of an unfinished event; past that it is ``overflowed``, drops
    what it holds and yields no further event.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_data",
        "_held",
        "_limit",
        "_name",
        "_tail",
        "overflowed",
    )

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._tail = bytearray()  # a line whose end has not come
        self._data: list[bytes] = []
        self._held = 0  # bytes in _data
        self._name = ""
        self._after_cr = False  # a line feed that comes next belongs to the line already ended
        self._at_start = True
        self.overflowed = False

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes, return the events that they complete."""
        if self.overflowed or not data:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._tail:
            lines[0] = bytes(self._tail) + lines[0]
            self._tail.clear()
        events = [event for line in lines if (event := self._take_line(line))]
        self._tail += rest
        if len(self._tail) + self._held > self._limit:
            self._overflow()
        return events

    def flush(self) -> list[Event]:
        """Return the last event if the stream ended without the empty line that closes it.

        The standard discards such an event. Whoever checks that the data is whole may use it.
        """
        if self._tail:
            self._take_line(bytes(self._tail))
            self._tail.clear()
        event = self._take_line(b"")
        return [event] if event else []

    def _take_line(self, line: bytes) -> Event | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._held += len(value) + 1
        elif field == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", "replace")
        return None

    def _dispatch(self) -> Event | None:
        name, data = self._name, self._data
        self._name = ""
        if not data:
            return None
        self._data = []
        self._held = 0
        return Event(name, data[0] if len(data) == 1 else b"\n".join(data))

    def _overflow(self) -> None:
        self.overflowed = True
        self._tail.clear()
        self._data.clear()


def frame(data: bytes, *, name: str = "") -> bytes:
    """Write one event. A line break in ``data`` becomes a line of its own."""
    head = f"event: {name}\n".encode() if name else b""
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    return b"".join((head, b"data: ", data, b"\n\n"))
