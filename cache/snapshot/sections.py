"""Named sections, one after the other: what tables and indexes are written to and read from.

They come back in the order in which they went. Whoever reads may trust them: what was damaged is
found before the first one is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Piece = bytes | bytearray | memoryview
Array = NDArray[Any]


class Unusable(Exception):
    """A snapshot that says nothing of what is in the store now; ``args[0]`` is why, in a word."""

    @property
    def why(self) -> str:
        """Return a label, "Damaged" or "OtherEpoch"."""
        return str(self.args[0])


class Sink(Protocol):
    """Takes sections."""

    def put(self, name: str, size_bytes: int, pieces: Iterable[Piece]) -> None:
        """Write a section of ``size_bytes``, which ``pieces`` have together."""
        ...


class Source(Protocol):
    """Gives sections."""

    def take(self, name: str) -> tuple[int, Iterator[bytes]]:
        """Return the bytes of the next section and how many; read them before the one after.

        Raises ``Unusable`` when the next one has another name.
        """
        ...


def put_facts(sink: Sink, name: str, value: object) -> None:
    """Write a small value of plain types."""
    data = msgspec.msgpack.encode(value)
    sink.put(name, len(data), [data])


def take_facts(source: Source, name: str, kind: type[T]) -> T:
    """Read a small value. Raises ``Unusable`` for one of another type."""
    try:
        return msgspec.msgpack.decode(_whole(source, name), type=kind)
    except msgspec.DecodeError as exc:
        raise Unusable("Damaged") from exc


def put_array(sink: Sink, name: str, array: Array) -> None:
    """Write the bytes of ``array``."""
    plain = np.ascontiguousarray(array)
    sink.put(name, plain.nbytes, [plain.reshape(-1).view(np.uint8).data])


def take_array(source: Source, name: str, kind: Any) -> Array:
    """Read an array of ``kind``, which may be written to; its first axis counts."""
    row = np.dtype(kind)
    data = _whole(source, name)
    if row.itemsize == 0 or len(data) % row.itemsize:
        raise Unusable("Damaged")
    plain = np.frombuffer(data, dtype=np.uint8)
    shape = (len(data) // row.itemsize, *row.shape)
    array: Array = plain.view(row.base).reshape(shape)
    return array


def put_strings(sink: Sink, name: str, strings: list[bytes]) -> None:
    """Write byte strings of any lengths."""
    lengths = np.fromiter(map(len, strings), dtype=np.uint32, count=len(strings))
    put_array(sink, f"{name} lengths", lengths)
    sink.put(name, int(lengths.sum(dtype=np.int64)), strings)


def take_strings(source: Source, name: str) -> list[bytes]:
    """Read byte strings."""
    lengths = take_array(source, f"{name} lengths", np.uint32)
    data = memoryview(_whole(source, name))
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    if (ends[-1] if ends else 0) != len(data):
        raise Unusable("Damaged")
    strings, start = [], 0
    for end in ends:
        strings.append(bytes(data[start:end]))
        start = end
    return strings


def _whole(source: Source, name: str) -> bytearray:
    size, pieces = source.take(name)
    whole = bytearray()
    for piece in pieces:
        whole += piece
    if len(whole) != size:
        raise Unusable("Damaged")
    return whole
