"""The export format: one JSON value a line, the first one a header. ``docs/moving.md`` has it.

Keys, partitions and ledgers are digests made with the secret and the store's epoch, so both belong
to the header: entries are of use to nobody else. A code at the end of each line says that it is as
it was written (``codes``).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ...cache.entries.entry import IndexRecord, Payload
from .codes import is_signed, line_key, signed

VERSION = 1
LEDGERS = ("invalidated", "blocked", "withdrawn")  # what must not come back
KEY_BYTES = 16


class BadLine(Exception):
    """A line that cannot be taken; the message says why, without what it holds."""


class Header(msgspec.Struct, frozen=True, tag_field="kindcache", tag="export"):
    """What the entries below depend on."""

    version: int
    secret: str  # a fingerprint of it
    epoch: bytes  # of the store
    ledgers: dict[str, list[str]] = {}


class EntryLine(msgspec.Struct, frozen=True, tag_field="kindcache", tag="entry"):
    """One entry. Bytes are base64; the vector is float16, little-endian."""

    key: bytes
    record: IndexRecord
    payload: Payload
    embed: bool = False  # the vector was left out and is to be made again


class Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question and its answer, to be stored as if a model had answered."""

    prompt: str
    answer: str
    model: str
    system: str | None = None
    category: str | None = None
    request: dict[str, Any] = {}  # further fields of the request, such as temperature


@dataclass(slots=True)
class Counts:
    """What became of the lines."""

    taken: int = 0
    left: dict[str, int] = field(default_factory=dict)  # why, and how many

    def leave(self, why: str) -> None:
        """Count one that was not taken."""
        self.left[why] = self.left.get(why, 0) + 1

    def __str__(self) -> str:
        return ", ".join([f"{self.taken} entries", *(f"{n} {why}" for why, n in self.left.items())])


_CHANGED = "it is not as an export under this secret and epoch wrote it"
_encode = msgspec.json.Encoder().encode
_entries = msgspec.json.Decoder(EntryLine)
_seeds = msgspec.json.Decoder(Seed)


def fingerprint(secret: bytes) -> str:
    """Return what tells one secret from another, and nothing of it."""
    return hmac.digest(secret, b"kindcache: export, version 1", "sha256")[:8].hex()


def encode_line(value: Header | EntryLine, secret: bytes, epoch: bytes = b"") -> bytes:
    """Return ``value`` as a line, its code and its end included. ``epoch``: that of an entry."""
    return signed(_encode(value), line_key(secret, epoch))


def decode_header(line: bytes, secret: bytes) -> Header | None:
    """Return the header; None for a line of another kind.

    Raises ``BadLine`` for other versions, and for one that is not as it was written under
    ``secret``. One of another secret is returned.
    """
    try:
        kind = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if kind.get("kindcache") != "export":
        return None
    if kind.get("version") != VERSION:
        raise BadLine(f"an export of format {kind.get('version')!r:.20}; this one reads {VERSION}")
    try:
        header = msgspec.json.decode(line, type=Header)
    except msgspec.DecodeError as exc:
        raise BadLine(f"the header: {exc}") from exc
    if header.secret == fingerprint(secret) and not is_signed(line, line_key(secret)):
        raise BadLine(_CHANGED)
    return header


def decode_entry(line: bytes, key: bytes) -> EntryLine:
    """Return the entry of a line whose code was made with ``key``. Raises ``BadLine``."""
    if not is_signed(line, key):
        raise BadLine(_CHANGED)
    try:
        found = _entries.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadLine(_said(exc)) from exc
    record = found.record
    if len(found.key) != KEY_BYTES or len(record.partition) != KEY_BYTES:
        raise BadLine(f"key and partition have {KEY_BYTES} bytes")
    if record.loose_partition and len(record.loose_partition) != KEY_BYTES:
        raise BadLine(f"a loose_partition has {KEY_BYTES} bytes")
    if record.category != found.payload.category or record.created_s != found.payload.created_s:
        raise BadLine("record and payload are not of one entry")
    return found


def decode_seed(line: bytes) -> Seed:
    """Return the question and answer of a line. Raises ``BadLine``."""
    try:
        seed = _seeds.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadLine(_said(exc)) from exc
    if not seed.prompt.strip() or not seed.answer.strip():
        raise BadLine("prompt and answer must not be empty")
    return seed


def _said(exc: Exception) -> str:
    # Messages of msgspec name fields and types, and no value but of tags, which may be anything.
    text = str(exc)
    known = isinstance(exc, msgspec.ValidationError) and "Invalid value" not in text
    return text if known else "not JSON of the kind that is expected here"
