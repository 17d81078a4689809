"""JSON that others wrote: decoded with nothing left to interpretation."""

from __future__ import annotations

import json
from typing import Any

import msgspec

MAX_DEPTH = 100  # far above any request in use, far below the interpreter's recursion limit
MAX_BRACKETS = (
    100_000  # more of them take the interpreter over 0.1 s, and no request in use has them
)

_CONTAINERS = frozenset({dict, list})  # exactly what the decoder makes

_decoder = msgspec.json.Decoder()
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()


class NotJson(ValueError):
    """The bytes are not JSON, or not JSON that every parser reads alike."""


def decode(data: bytes) -> Any:
    """Decode one JSON value. Raises ``NotJson``; integers keep every digit."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise NotJson(type(exc).__name__) from exc


def decode_unambiguous(data: bytes) -> Any:
    """Decode JSON without repeated keys, ``MAX_DEPTH`` levels deep, with ``MAX_BRACKETS`` at most.

    Of repeated keys one parser takes the first and another the last, so that the cache and the
    model server could read two different requests. Raises ``NotJson``.
    """
    brackets = data.count(b"{") + data.count(b"[")  # those inside strings too: an upper bound
    if brackets > MAX_BRACKETS:
        raise NotJson("too many parts")
    value = decode(data)
    if brackets > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise NotJson("nested too deeply")
    if _repeats_keys(data, value):
        raise NotJson("a key is repeated")
    return value


def without_member(data: bytes, name: str) -> bytes:
    """Return the JSON object ``data`` without its member ``name``.

    Every other member's value is copied byte for byte, in order; only white space between the
    members goes, and escapes in their names. ``data`` must have passed ``decode_unambiguous``.
    """
    kept = (
        _encoder.encode(key) + b":" + bytes(raw)
        for key, raw in _members.decode(data).items()
        if key != name
    )
    return b"{" + b",".join(kept) + b"}"


def _is_deeper(value: object, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) in _CONTAINERS
        ]
        if not level:
            return False
    return True


def _repeats_keys(data: bytes, value: object) -> bool:
    # The encoder writes two quotes a string and \" for a quote inside one, as the sender did
    # unless the sender wrote \u0022. A lost key loses quotes, so equal counts prove that none is.
    if b"\\u0022" not in data:
        return data.count(b'"') != _encoder.encode(value).count(b'"')
    try:
        json.loads(data, object_pairs_hook=_refuse_repeats)
    except NotJson:
        return True
    return False


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise NotJson
