"""A stored answer, sent as this caller asked for it."""

from __future__ import annotations

from ..cache.entry import Payload
from ..policies.facts import Call
from .asgi import Send, respond
from .dialects.dialect import Dialect

Pairs = list[tuple[bytes, bytes]]


async def replay(
    send: Send, dialect: Dialect, call: Call, payload: Payload, headers: Pairs
) -> None:
    """Send ``payload`` as a stream or whole, with ``headers``."""
    if not call.stream:
        await respond(send, 200, dialect.body(payload.answer), headers)
        return
    frames = dialect.frames(payload.answer, usage=call.wants_usage)
    start = [(b"content-type", b"text/event-stream; charset=utf-8"), *headers]
    start.append((b"x-accel-buffering", b"no"))
    await send({"type": "http.response.start", "status": 200, "headers": start})
    await send({"type": "http.response.body", "body": b"".join(frames)})
