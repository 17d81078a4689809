"""The smallest ASGI app around GPTCache's ``get`` and ``put``; a miss is asked upstream by httpx.

GPTCache blocks, so its calls go to one thread, in turn, and the app goes on serving. The prompt is
the last message, as in GPTCache's own adapters. A hit asked for as a stream is sent in frames.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from gptcache.adapter.api import get, put
from gptcache_store import opened
from minilm import MiniLM

JSON, EVENTS = b"application/json", b"text/event-stream"
CHUNK = {"id": "chatcmpl-hit", "created": 1, "model": "bench", "object": "chat.completion.chunk"}
WHOLE = {"id": "chatcmpl-hit", "created": 1, "model": "bench", "object": "chat.completion"}
WORDS_A_FRAME = 4


class App:
    """Answers chat completions."""

    def __init__(self, upstream: str, folder: Path) -> None:
        self._url = f"{upstream}/chat/completions"
        self._folder = folder
        self._thread = ThreadPoolExecutor(1)
        self._client: httpx.AsyncClient
        self._cache: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["method"] == "GET":
            await _answer(send, JSON, b"miss", b"{}")
        else:
            await self._chat(await _read(receive), send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self._client = httpx.AsyncClient()
        await self._aside(self._open)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self) -> None:
        self._cache = opened(MiniLM(self._folder))

    async def _chat(self, body: bytes, send: Any) -> None:
        asked = json.loads(body)
        prompt = asked["messages"][-1]["content"]
        found = await self._aside(self._get, prompt)
        if found is not None:
            if asked.get("stream"):
                await _answer(send, EVENTS, b"hit", *_frames(found))
            else:
                await _answer(send, JSON, b"hit", _whole(found))
        elif asked.get("stream"):
            await self._stream(prompt, body, send)
        else:
            answer = (await self._client.post(self._url, content=body)).json()
            text = answer["choices"][0]["message"]["content"]
            await self._aside(self._put, prompt, text)
            await _answer(send, JSON, b"miss", json.dumps(answer).encode())

    async def _stream(self, prompt: str, body: bytes, send: Any) -> None:
        await _start(send, EVENTS, b"miss")
        text = ""
        async with self._client.stream("POST", self._url, content=body) as response:
            async for line in response.aiter_lines():
                if not line:
                    continue
                if line != "data: [DONE]":
                    text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                frame = f"{line}\n\n".encode()
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        await self._aside(self._put, prompt, text)
        await send({"type": "http.response.body", "body": b""})

    def _get(self, prompt: str) -> str | None:
        found: str | None = get(prompt, cache_obj=self._cache)
        return found

    def _put(self, prompt: str, text: str) -> None:
        put(prompt, text, cache_obj=self._cache)

    async def _aside(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def _whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({**WHOLE, "choices": [choice]}).encode()


def _frames(text: str) -> list[bytes]:
    words = text.split()
    starts = range(0, len(words), WORDS_A_FRAME)
    pieces = [" ".join(words[start : start + WORDS_A_FRAME]) + " " for start in starts]
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces]
    ends = [None] * len(deltas) + ["stop"]
    chunks = [
        {**CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
        for delta, end in zip([*deltas, {}], ends, strict=True)
    ]
    return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]


async def _answer(send: Any, kind: bytes, result: bytes, *parts: bytes) -> None:
    length = [(b"content-length", str(len(parts[0])).encode())] if kind == JSON else []
    await _start(send, kind, result, *length)
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Any, kind: bytes, result: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", kind), (b"x-cache", result), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _read(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    app = App(options.upstream, options.model)
    uvicorn.run(app, port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
