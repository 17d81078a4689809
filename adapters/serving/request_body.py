"""Reading a request's body within bounds, and giving it to the app again."""

from __future__ import annotations

from dataclasses import dataclass

from ..asgi import Message, Receive


@dataclass(frozen=True, slots=True)
class Body:
    """What was read. ``whole`` is False when it is larger than the bound or the client left."""

    data: bytes
    whole: bool
    messages: tuple[Message, ...]


async def read_body(receive: Receive, limit_bytes: int) -> Body:
    """Read until the body ends, or until it is larger than ``limit_bytes``."""
    messages: list[Message] = []
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request":
            return Body(b"", whole=False, messages=tuple(messages))
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit_bytes:
            return Body(b"", whole=False, messages=tuple(messages))
        if not message.get("more_body", False):
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            return Body(data, whole=True, messages=tuple(messages))


def again(body: Body, receive: Receive) -> Receive:
    """Return a ``receive`` that gives what was read once more, then goes on with the original."""
    waiting = list(reversed(body.messages))

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def instead(data: bytes, after: Receive) -> Receive:
    """Return a ``receive`` that gives ``data`` as the whole body, then goes on with ``after``."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await after()
        given = True
        return {"type": "http.request", "body": data, "more_body": False}

    return replay
