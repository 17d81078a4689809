"""A model server over real HTTP whose every move a test scripts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from .gate import DEADLINE_S, Gate
from .replies import Act, Pause, Reply, Seen, Step, chat_reply, error_reply, json_reply
from .serving import serve

Script = Callable[[Seen], Reply]


def default_script(seen: Seen) -> Reply:
    """Answer chats with `Answer to: <prompt>`, list one model, refuse the rest."""
    if seen.path.endswith("/chat/completions"):
        return chat_reply(seen, f"Answer to: {seen.prompt}")
    if seen.path.endswith("/models"):
        model = {"id": "test-model", "object": "model", "created": 0, "owned_by": "test"}
        return json_reply({"object": "list", "data": [model]})
    return error_reply(404, f"no such path: {seen.path}")


class ScriptedUpstream:
    """A real uvicorn on a free port. Use as a context manager.

    `script` makes the reply of each request; `enqueue` puts replies before it, one per request.
    `requests` holds what arrived, in order.
    """

    def __init__(self, script: Script = default_script) -> None:
        self.script = script
        self.requests: list[Seen] = []
        self.origin = ""
        self._queued: deque[Reply | Script] = deque()
        self._lock = threading.Lock()
        self._awaited: list[tuple[int, Gate]] = []
        self._stopping = Gate("upstream stops")
        self._stack = ExitStack()

    @property
    def base_url(self) -> str:
        """What a client would call `base_url`: origin and `/v1`."""
        return f"{self.origin}/v1"

    @property
    def count(self) -> int:
        """How many requests arrived."""
        return len(self.requests)

    def reset(self, script: Script = default_script) -> None:
        """Forget requests and queued replies, for a server that several tests share."""
        self.script = script
        self.requests = []
        self._queued.clear()

    def enqueue(self, *replies: Reply | Script) -> None:
        """Answer the next requests with these, one each."""
        self._queued.extend(replies)

    async def request(self, index: int = 0) -> Seen:
        """Wait until request number `index` has arrived, and return it."""
        with self._lock:
            if index < len(self.requests):
                return self.requests[index]
            gate = Gate(f"request {index}")
            self._awaited.append((index, gate))
        await gate.passed()
        return self.requests[index]

    def __enter__(self) -> Self:
        self.origin = self._stack.enter_context(serve(self._app)).url
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.open()
        self._stack.close()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        seen = Seen(
            scope["method"],
            scope["raw_path"].decode(),
            scope["query_string"].decode(),
            list(scope["headers"]),
        )
        self._keep(seen)
        if not await self._read(seen, receive):
            return
        reply = self._queued.popleft() if self._queued else self.script
        await self._play(seen, reply(seen) if callable(reply) else reply, receive, send)

    def _keep(self, seen: Seen) -> None:
        with self._lock:
            self.requests.append(seen)
            due = [gate for index, gate in self._awaited if index < len(self.requests)]
        for gate in due:
            gate.open()

    async def _read(self, seen: Seen, receive: Any) -> bool:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                seen.disconnected.open()
                return False
            seen.pieces.append((time.monotonic(), message["body"]))
            seen.first_piece.open()
            more = message["more_body"]
        seen.read.open()
        return True

    async def _play(self, seen: Seen, reply: Reply, receive: Any, send: Any) -> None:
        left = asyncio.create_task(_until_left(receive, seen))
        stopping = asyncio.create_task(self._stopping.passed(None))
        try:
            for step in reply.before:
                if not await _wait_for(step, left, stopping):
                    return
            headers = [(k.encode(), v.encode("latin-1")) for k, v in reply.headers]
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            for step in reply.steps:
                if left.done():
                    return
                if isinstance(step, bytes):
                    await send({"type": "http.response.body", "body": step, "more_body": True})
                elif step is Act.CLOSE or not await _wait_for(step, left, stopping):
                    return  # uvicorn closes the connection of an unfinished response
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            seen.answered.open()
        finally:
            left.cancel()
            stopping.cancel()
            await asyncio.wait([left, stopping])


async def _until_left(receive: Any, seen: Seen) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if not seen.answered.is_open:
        seen.disconnected.open()


async def _wait_for(step: Step, *interruptions: asyncio.Task[None]) -> bool:
    """Wait as the step says; return False if interrupted."""
    waiting: Coroutine[Any, Any, Any]
    match step:
        case Gate():
            waiting = step.passed(DEADLINE_S)
        case Pause(seconds=seconds):
            waiting = asyncio.sleep(seconds)
        case _:
            waiting = asyncio.Event().wait()
    task = asyncio.create_task(waiting)
    await asyncio.wait([task, *interruptions], return_when=asyncio.FIRST_COMPLETED)
    if any(interruption.done() for interruption in interruptions):
        task.cancel()
        await asyncio.wait([task])
        return False
    task.result()
    return True
