"""A built-in demo model: a small OpenAI-compatible server that needs no weights and no key.

It understands nothing. Equal prompts get equal answers, and every answer says that it is a demo.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from .answers import Draft, InvalidRequest, draft

MODEL = "kindcache-demo"
MAX_BODY_BYTES = 32 << 20
JSON = (b"content-type", b"application/json")
EVENTS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class DemoModel:
    """An ASGI app that answers ``/v1/chat/completions`` and ``/v1/models`` deterministically.

    ``latency_s`` passes before the first token and ``tokens_per_s`` sets the pace after it (0 = at
    once), for whole answers as for streams. A client that leaves ends its answer.
    """

    def __init__(self, *, latency_s: float = 0.6, tokens_per_s: float = 80.0) -> None:
        if latency_s < 0 or tokens_per_s < 0:
            raise ValueError("latency_s and tokens_per_s must not be negative")
        self._latency_s = latency_s
        self._pause_s = 1 / tokens_per_s if tokens_per_s else 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                for step in ("startup", "shutdown"):
                    await receive()
                    await send({"type": f"lifespan.{step}.complete"})
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1011, "reason": "HTTP only"})
            case unknown:
                raise ValueError(f"unknown scope type {unknown}")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].rstrip("/")
        method = scope["method"]
        if path in ("/v1/chat/completions", "/chat/completions"):
            if method != "POST":
                await _refuse(
                    send, 405, f"Not allowed here: {method}. Use POST.", "method_not_allowed"
                )
                return
            body = await _read(receive)
            if body is not None:
                await self._chat(body, receive, send)
        elif path in ("/v1/models", "/models") and method in ("GET", "HEAD"):
            await _respond(send, 200, {"object": "list", "data": [_model()]})
        elif path == f"/v1/models/{MODEL}" and method in ("GET", "HEAD"):
            await _respond(send, 200, _model())
        elif path == "/health":
            await _respond(send, 200, {"status": "ok", "model": MODEL})
        else:
            await _refuse(send, 404, "The demo model has no such path.", "not_found")

    async def _chat(self, body: bytes, receive: Receive, send: Send) -> None:
        if len(body) > MAX_BODY_BYTES:
            await _refuse(send, 413, "The request is larger than 32 MiB.", "request_too_large")
            return
        try:
            answer = draft(body)
        except InvalidRequest as exc:
            await _refuse(send, 400, str(exc), exc.code, exc.param)
            return
        work = self._stream if answer.stream else self._whole
        await _unless_disconnected(work(answer, send), receive)

    async def _whole(self, answer: Draft, send: Send) -> None:
        await self._token(asyncio.get_running_loop().time(), len(answer.pieces) - 1)
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": answer.finish_reason,
        }
        head = _head("chat.completion")
        await _respond(send, 200, {**head, "choices": [choice], "usage": answer.usage})

    async def _stream(self, answer: Draft, send: Send) -> None:
        head = _head("chat.completion.chunk")
        if answer.include_usage:
            head["usage"] = None
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        start_s = asyncio.get_running_loop().time()
        for index, piece in enumerate(answer.pieces):
            await self._token(start_s, index)
            delta = {"content": piece} if index else {"role": "assistant", "content": piece}
            await send(_frame({**head, "choices": [_delta(delta)]}))
        await send(_frame({**head, "choices": [_delta({}, answer.finish_reason)]}))
        if answer.include_usage:
            await send(_frame({**head, "choices": [], "usage": answer.usage}))
        await send(_body(b"data: [DONE]\n\n", more=False))

    async def _token(self, start_s: float, index: int) -> None:
        """Wait until the token is due, by the clock, so that late timers do not add up."""
        due_s = start_s + self._latency_s + index * self._pause_s
        await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))


async def _read(receive: Receive) -> bytes | None:
    """Return the body, at most one piece over the limit; None if the client left."""
    pieces: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if size_bytes <= MAX_BODY_BYTES:
            pieces.append(message.get("body", b""))
            size_bytes += len(pieces[-1])
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _unless_disconnected(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Run ``work`` until it is done or the client leaves."""

    async def disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(work), asyncio.create_task(disconnected())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            with suppress(OSError):  # a send to a client that has left (ASGI 2.4)
                task.result()


def _head(kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-demo-{secrets.token_hex(8)}",
        "object": kind,
        "created": int(time.time()),
        "model": MODEL,
        "system_fingerprint": "kindcache-demo-1",
    }


def _model() -> dict[str, Any]:
    return {"id": MODEL, "object": "model", "created": 0, "owned_by": "kindcache"}


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _frame(value: dict[str, Any]) -> Message:
    return _body(b"data: " + json.dumps(value).encode() + b"\n\n", more=True)


def _body(data: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _respond(send: Send, status: int, value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    headers = [JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send(_body(body, more=False))


async def _refuse(
    send: Send, status: int, message: str, code: str, param: str | None = None
) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    await _respond(send, status, {"error": error})
