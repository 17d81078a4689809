"""Which headers a proxy passes on (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from collections.abc import Iterable

from multidict import CIMultiDict

RawHeaders = Iterable[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# The client addressed us by Host; Expect was answered by our own server when it read the body.
REQUEST_ONLY = frozenset({b"host", b"expect"})
BODILESS = frozenset({204, 304})


def request_headers(headers: RawHeaders, *, size_bytes: int | None) -> CIMultiDict[str]:
    """Return what of a request's headers goes on, in order, repetitions included.

    ``size_bytes`` is the body's size where it is known, and corrects ``Content-Length`` then; with
    None the client's own stands.
    """
    result: CIMultiDict[str] = CIMultiDict()
    for name, value in _end_to_end(headers):
        if name in REQUEST_ONLY:
            continue
        if name == b"content-length" and size_bytes is not None:
            if "content-length" not in result:
                result.add("content-length", str(size_bytes))
        else:
            result.add(name.decode("latin-1"), _text(value))
    return result


def response_headers(headers: RawHeaders, *, status: int) -> list[tuple[bytes, bytes]]:
    """Return what of a response's headers goes on, in order, names in lower case.

    An event stream is marked so that reverse proxies of the nginx family do not buffer it.
    """
    kept = list(_end_to_end(headers))
    if status in BODILESS:
        # A 304 may name the length of the body that it does not have; servers count the bytes.
        kept = [pair for pair in kept if pair[0] != b"content-length"]
    if is_event_stream(kept) and all(name != b"x-accel-buffering" for name, _ in kept):
        kept.append((b"x-accel-buffering", b"no"))
    return kept


def is_event_stream(headers: RawHeaders) -> bool:
    """Say whether the headers announce server-sent events."""
    return any(
        name == b"content-type" and value.lower().startswith(b"text/event-stream")
        for name, value in headers
    )


def _end_to_end(headers: RawHeaders) -> Iterable[tuple[bytes, bytes]]:
    lowered = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower()
        for name, value in lowered
        if name == b"connection"
        for token in value.split(b",")
    }
    for name, value in lowered:
        if name not in HOP_BY_HOP and name not in named and not name.startswith(b"proxy-"):
            yield name, value


def _text(value: bytes) -> str:
    """Decode so that the client library, which writes UTF-8, writes the same bytes again."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
