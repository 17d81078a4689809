"""A stored answer, sent as this caller asked for it."""

from __future__ import annotations

from ...cache.entries.entry import Payload
from ...cache.entries.hot import HotPayloads
from ...cache.entries.rendering import Form, Rendering
from ...cache.ports import EntryKey
from ...policies.facts import Call
from ..asgi import Send, respond
from ..dialects.dialect import Dialect

Pairs = list[tuple[bytes, bytes]]

_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
_UNBUFFERED = (b"x-accel-buffering", b"no")


def kept_rendering(
    hot: HotPayloads, key: EntryKey, dialect: Dialect, call: Call, payload: Payload
) -> Rendering:
    """Return ``payload`` as ``call`` wants it; made once and kept beside a hot payload."""
    form = Form(dialect.name, call.stream, call.wants_usage)
    known = hot.rendering(key, payload, form)
    if known is None:
        known = dialect.rendering(payload.answer, stream=call.stream, usage=call.wants_usage)
        hot.keep_rendering(key, payload, form, known)
    return known


async def replay(
    send: Send, dialect: Dialect, rendered: Rendering, headers: Pairs, *, stream: bool
) -> None:
    """Send an answer with an id of its own, as a stream or whole, with ``headers``."""
    data = dialect.fresh(rendered)
    if not stream:
        await respond(send, 200, data, headers)
        return
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [_STREAM, *headers, _UNBUFFERED],
    }
    await send(start)
    await send({"type": "http.response.body", "body": data})
