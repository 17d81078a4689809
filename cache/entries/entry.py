"""What is kept of an answer: the neutral payload, the index record, and their encodings.

Data-only encodings (msgpack + zstd, no pickle). The first byte is the format version; bytes of
another version, or damaged ones, raise ``CorruptRecord`` and are treated as absent.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import numpy as np
import zstandard

from ..errors import CorruptRecord
from ..ports import Vector

VERSION = 1
T = TypeVar("T")

MOST_TOKENS = 1 << 40  # more is no count
MAX_DECODED_BYTES = 64 << 20  # refuses decompression bombs


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call that the model asked for; ``arguments`` is the JSON text as received."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of possibly several."""

    text: str | None
    finish_reason: str
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_field: str = ""  # the name under which the upstream sent it


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete model answer, in the terms of no particular wire dialect."""

    model: str
    created: int  # Unix time by the upstream's clock
    choices: tuple[Choice, ...]  # by index
    usage: dict[str, Any] | None = None  # the original numbers; None = not known, never zeros
    system_fingerprint: str | None = None

    @property
    def has_tool_calls(self) -> bool:
        """Say whether any choice calls a tool."""
        return any(choice.tool_calls for choice in self.choices)


def usage_of(answer: Answer) -> tuple[int, int, int]:
    """Return the tokens read, written and in total; 0 = not said, or no sensible number."""
    usage = answer.usage
    if not usage:
        return 0, 0, 0
    read, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return read, written, _count(usage.get("total_tokens"))


def _count(value: object) -> int:
    return value if type(value) is int and 0 < value < MOST_TOKENS else 0


@dataclass(frozen=True, slots=True)
class Payload:
    """What the store keeps under an exact key."""

    answer: Answer
    category: str
    prompt: str
    created_s: float  # Unix time of receipt; age runs from here, no hit renews it
    dialect: str
    ttl_s: float | None = None  # the filling client's own bound
    upstream_s: float = 0.0  # how long the upstream took, for savings
    model: str | None = None  # as asked for; None = stored before that was kept
    tags: tuple[str, ...] = ()
    whose: bytes = b""  # as ``Subject.packed`` has it; empty = stored before that was kept
    after: tuple[bytes, ...] = ()  # invalidations that were known when the question was asked


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """What an index needs to find an entry again without reading its payload."""

    partition: bytes
    category: str
    prompt: str
    created_s: float
    expires_s: float
    size_bytes: int
    embedder: str  # identity of the encoder that made the vector
    vector: bytes  # float16, little-endian; empty = exact tier only
    ttl_s: float | None = None
    principal: bytes = b""
    loose_partition: bytes = b""  # of conversations with other ``turns``; empty = exact history
    turns: tuple[str, ...] = ()
    user: bytes = b""  # of the principal's users and namespaces: who asked, as keyed digests
    namespace: bytes = b""
    asked_s: float = 0.0
    likeness: float = 0.0  # cosine of its nearest neighbour when it was stored
    model: str | None = None  # as ``Payload`` has them
    tags: tuple[str, ...] = ()
    after: tuple[bytes, ...] = ()

    def decoded_vector(self, dim: int) -> Vector | None:
        """Return the vector as float32, normalised again after the loss to float16.

        Raises ``CorruptRecord`` for one that no encoder of ``dim`` dimensions made.
        """
        if not self.vector:
            return None
        if len(self.vector) != 2 * dim:
            raise CorruptRecord("a vector of another length")
        vector = np.frombuffer(self.vector, dtype="<f2").astype(np.float32)
        length = float(np.linalg.norm(vector))
        if not math.isfinite(length):
            raise CorruptRecord("a vector that is not finite")
        return vector / max(length, 1e-12)


class _Zstd(threading.local):
    """One pair for each thread, since they serve one at a time; making one takes twice its work."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()
_encoder = msgspec.msgpack.Encoder()
_payloads = msgspec.msgpack.Decoder(Payload)
_records = msgspec.msgpack.Decoder(IndexRecord)
_UNREADABLE = (
    zstandard.ZstdError,
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
    MemoryError,
)


def pack_vector(vector: Vector | None) -> bytes:
    """Encode ``vector`` for an index record."""
    return b"" if vector is None else vector.astype("<f2").tobytes()


def encode(value: Payload | IndexRecord) -> bytes:
    """Encode for the store: version byte, then zstd-compressed msgpack.

    With a checksum: a flipped bit must not become another answer.
    """
    return bytes([VERSION]) + _zstd.compressor.compress(_encoder.encode(value))


def decode_payload(data: bytes) -> Payload:
    """Decode a payload. Raises ``CorruptRecord``."""
    return _decode(data, _payloads)


def decode_record(data: bytes) -> IndexRecord:
    """Decode an index record. Raises ``CorruptRecord``."""
    return _decode(data, _records)


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    if not data or data[0] != VERSION:
        raise CorruptRecord("unknown format version")
    frame = data[1:]
    try:
        # The bound below holds only for frames that do not state their size.
        if zstandard.frame_content_size(frame) > MAX_DECODED_BYTES:
            raise CorruptRecord("too large")
        plain = _zstd.decompressor.decompress(frame, max_output_size=MAX_DECODED_BYTES)
        return decoder.decode(plain)
    except _UNREADABLE as exc:
        raise CorruptRecord(type(exc).__name__) from exc
