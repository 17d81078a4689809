"""What became of one request, read from the response that its caller got."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ...policies.verdict import Reason
from ..asgi import Headers, header

_CREATED = re.compile(rb'"created":\s*(\d+)')  # before any text: answers begin with it


class Kind(StrEnum):
    """Where an answer came from."""

    EXACT = "exact"
    SEMANTIC = "semantic"
    JOINED = "joined"  # it waited for the answer to an equal call
    STOOD_IN = "stood in"  # for a model that failed
    MISS = "miss"
    BYPASS = "bypass"


HITS = frozenset({Kind.EXACT, Kind.SEMANTIC})
SHARED = HITS | {Kind.JOINED}  # no call to the model was made for them


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer."""

    kind: Kind
    category: str  # as decided; "" = it never was
    reason: str
    waited_s: float
    made_for: int | None  # the request of the log that the model answered; None = an error
    stale: bool = False
    relaxed: bool = False


def outcome_of(headers: Headers, body: bytes, waited_s: float) -> Outcome:
    """Read one response."""
    reason = _text(headers, b"x-cache-reason")
    made_for = _CREATED.search(body)
    return Outcome(
        kind=_kind(headers, reason),
        category=_text(headers, b"x-cache-category"),
        reason=reason,
        waited_s=waited_s,
        made_for=None if made_for is None else int(made_for[1]),
        stale=reason == Reason.STALE,
        relaxed=header(headers, b"x-cache-relaxed") is not None,
    )


def _kind(headers: Headers, reason: str) -> Kind:
    match _text(headers, b"x-cache"):
        case "HIT" if reason == Reason.STALE_IF_ERROR:
            return Kind.STOOD_IN
        case "HIT":
            return Kind(_text(headers, b"x-cache-tier"))
        case "MISS" if "; collapsed" in _text(headers, b"cache-status"):
            return Kind.JOINED
        case "MISS":
            return Kind.MISS
        case _:
            return Kind.BYPASS


def _text(headers: Headers, name: bytes) -> str:
    return (header(headers, name) or b"").decode("latin-1")
