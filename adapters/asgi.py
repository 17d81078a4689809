"""ASGI types and the few header operations that adapters share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the first value of ``name`` (lower case), None when it is absent."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


def joined_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """Return all values of a list header, joined as RFC 9110 section 5.3 allows."""
    return ", ".join(value.decode("latin-1") for key, value in headers if key.lower() == name)


def without(headers: Headers, *names: bytes) -> list[tuple[bytes, bytes]]:
    """Return ``headers`` less those called ``names`` (lower case)."""
    return [(key, value) for key, value in headers if key.lower() not in names]


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Headers,
    content_type: bytes = b"application/json",
) -> None:
    """Send a whole response."""
    whole = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": whole})
    await send({"type": "http.response.body", "body": body})
