"""A simulated model server: one fixed answer after a fixed time, whole or as a stream.

    python bench/upstream_app.py --port 9000 --latency-ms 0

``/floor`` answers at once and reads nothing: the least that HTTP costs on this machine.
``/calls`` tells how many calls the model has answered, ``/latency/300`` sets its latency in
milliseconds. With ``--echo`` the answer names the messages it is for (``digest``).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from typing import Any

import uvicorn

WORDS = (
    "Open your account, choose the item under your orders, and follow the steps that are shown "
    "there. You get a message as soon as it is done. If something does not look right, reply to "
    "that message and somebody will look at it on the same day."
).split()
USAGE = {"prompt_tokens": 12, "completion_tokens": 58, "total_tokens": 70}
HEAD = {"id": "chatcmpl-bench", "created": 1_700_000_000, "model": "bench"}
WORDS_A_FRAME = 4


def digest(messages: list[dict[str, str]]) -> str:
    """Return what tells an answer for ``messages`` from all others."""
    turns = [[message["role"], message["content"]] for message in messages]
    return hashlib.sha256(json.dumps(turns).encode()).hexdigest()[:16]


def whole(content: str = " ".join(WORDS)) -> bytes:
    """Return the answer as one JSON object."""
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps(
        {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    ).encode()


def frames() -> list[bytes]:
    """Return the answer as server-sent events."""
    starts = range(0, len(WORDS), WORDS_A_FRAME)
    pieces = [" ".join(WORDS[start : start + WORDS_A_FRAME]) + " " for start in starts]
    deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
    ends = [None] * len(deltas) + ["stop"]
    chunks = [
        {
            **HEAD,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": end}],
        }
        for delta, end in zip([*deltas, {}], ends, strict=True)
    ]
    return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]


class Model:
    """The ASGI app."""

    def __init__(self, latency_s: float, *, echo: bool = False) -> None:
        self._latency_s = latency_s
        self._echo = echo
        self._calls = 0
        self._whole = whole()
        self._frames = frames()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["path"] == "/floor":
            await _send_whole(send, self._whole)
            return
        if scope["method"] == "GET":
            await _send_whole(send, self._control(scope["path"]))
            return
        body = await _read(receive)
        self._calls += 1
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        # The spellings that clients use; parsing would be charged to us.
        if b'"stream": true' in body or b'"stream":true' in body:
            await self._send_frames(send)
        elif self._echo:
            await _send_whole(send, whole(digest(json.loads(body)["messages"])))
        else:
            await _send_whole(send, self._whole)

    def _control(self, path: str) -> bytes:
        if path.startswith("/latency/"):
            self._latency_s = float(path.rpartition("/")[2]) / 1e3
        return str(self._calls).encode()

    async def _send_frames(self, send: Any) -> None:
        await _start(send, b"text/event-stream")
        for frame in self._frames:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _send_whole(send: Any, body: bytes) -> None:
    await _start(send, b"application/json", (b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


async def _start(send: Any, kind: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", kind), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="Serve a simulated model.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--echo", action="store_true", help="answer each prompt differently")
    options = parser.parse_args()
    uvicorn.run(
        Model(options.latency_ms / 1e3, echo=options.echo),
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
