"""A miss that someone else is already asking: read along, or wait for the end."""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from ...cache.outcome import Follow
from ..asgi import Message, Receive, Send, header
from ..dialects.dialect import Dialect
from .replay import replay
from .status_headers import on_miss


class Followed(Enum):
    """How following ended."""

    ANSWERED = auto()
    CLIENT_LEFT = auto()
    FREE = auto()  # there was no answer to share: ask again


class Truncated(Exception):
    """The shared stream broke off; the server must not end the response as if it were whole."""


async def follow(
    follow: Follow, dialect: Dialect, receive: Receive, send: Send, *, details: bool
) -> Followed:
    """Answer the caller from the call in progress; leaves the flight on every way out.

    Raises ``Truncated`` when a stream that was already being passed on breaks off.
    """
    work = asyncio.create_task(_share(follow, dialect, send, details=details))
    gone = asyncio.create_task(client_left(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else Followed.CLIENT_LEFT
    finally:
        work.cancel()
        gone.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
        follow.flight.leave()


async def client_left(receive: Receive) -> None:
    """Wait until the client has left; its request has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _share(follow: Follow, dialect: Dialect, send: Send, *, details: bool) -> Followed:
    call, flight = follow.ask.call, follow.flight
    headers = on_miss(follow, collapsed=True, details=details)
    if call.stream and flight.rendering == (call.stream, call.wants_usage):
        live = await _read_along(follow, send, headers)
        if live is not None:
            return live
    payload = await flight.wait()
    if payload is None or (call.wants_usage and payload.answer.usage is None):
        return Followed.FREE
    rendered = dialect.rendering(payload.answer, stream=call.stream, usage=call.wants_usage)
    await replay(send, dialect, rendered, headers, stream=call.stream)
    return Followed.ANSWERED


async def _read_along(
    follow: Follow, send: Send, extra: list[tuple[bytes, bytes]]
) -> Followed | None:
    """Pass the leader's stream on as it comes; None when it is none that can be shared."""
    started = False
    async for message in follow.flight.messages():
        if message["type"] == "http.response.start":
            if not _is_live(message):
                return None
            started = True
            await send({**message, "headers": [*message["headers"], *extra]})
            continue
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            return Followed.ANSWERED
    if started:
        raise Truncated
    return None


def _is_live(start: Message) -> bool:
    kind = header(start.get("headers", ()), b"content-type") or b""
    return 200 <= start["status"] < 300 and kind.lower().startswith(b"text/event-stream")
