"""An ASGI client that records what an app sends and when, message by message."""

from __future__ import annotations

import asyncio
import json as jsonlib
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

Message = dict[str, Any]
DEADLINE_S = 10.0


class Exchange:
    """One request and what the app sent for it. Every wait fails after a deadline."""

    def __init__(self, app: Any, scope: dict[str, Any], *, oserror: bool) -> None:
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._oserror = oserror
        self.messages: list[tuple[float, Message]] = []
        self.task = asyncio.create_task(app(scope, self._receive, self._send))
        self.task.add_done_callback(lambda _: self._changed.set())

    # what the client does
    def feed(self, piece: bytes, *, more: bool = True) -> None:
        """Send a piece of the request body."""
        self._incoming.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def disconnect(self) -> None:
        """Leave. What the app sends from now on is lost, or raises OSError if so constructed."""
        self._disconnected.set()
        self._incoming.put_nowait({"type": "http.disconnect"})

    # what it waits for
    async def until(self, condition: Callable[[Exchange], bool]) -> None:
        """Wait until `condition(self)` holds; fail if the app ends first."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition(self):
                assert not self.task.done(), f"the app ended first: {self.task}"
                self._changed.clear()
                await self._changed.wait()

    async def started(self) -> None:
        """Wait for the status."""
        await self.until(lambda exchange: bool(exchange.messages))

    async def received(self, needle: bytes) -> None:
        """Wait until the body holds `needle`."""
        await self.until(lambda exchange: needle in exchange.body)

    async def ended(self) -> BaseException | None:
        """Wait for the app to end; return what it raised."""
        await asyncio.wait_for(asyncio.wait([self.task]), DEADLINE_S)
        if self.task.cancelled():
            return asyncio.CancelledError()
        return self.task.exception()

    # what it got
    @property
    def status(self) -> int:
        return int(self.messages[0][1]["status"])

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.messages[0][1]["headers"])

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        wanted = name.lower().encode()
        return next((v.decode("latin-1") for k, v in self.raw_headers if k == wanted), None)

    @property
    def chunks(self) -> list[tuple[float, bytes]]:
        """Non-empty pieces of the body with their (monotonic) times."""
        return [(at, m["body"]) for at, m in self.messages[1:] if m.get("body")]

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.chunks)

    @property
    def complete(self) -> bool:
        """Whether the response was properly ended."""
        last = self.messages[-1][1] if self.messages else {}
        return last.get("type") == "http.response.body" and not last.get("more_body", False)

    def json(self) -> Any:
        return jsonlib.loads(self.body)

    # the app's side
    async def _receive(self) -> Message:
        if self.complete:  # as servers do once the response is out
            return {"type": "http.disconnect"}
        message = await self._incoming.get()
        if message["type"] == "http.disconnect":
            self._incoming.put_nowait(message)
        return message

    async def _send(self, message: Message) -> None:
        if self._disconnected.is_set():
            if self._oserror:
                raise OSError("the client has left")
            return
        self._check(message)
        self.messages.append((time.monotonic(), dict(message)))
        self._changed.set()
        if self.complete:
            self._incoming.put_nowait({"type": "http.disconnect"})
        await asyncio.sleep(0)  # servers may yield here

    def _check(self, message: Message) -> None:
        """Hold the app to the protocol."""
        assert not self.complete, f"{message['type']} after the end"
        expected = "http.response.body" if self.messages else "http.response.start"
        assert message["type"] == expected, f"{message['type']} instead of {expected}"
        for name, value in message.get("headers", []):
            assert isinstance(name, bytes), name
            assert isinstance(value, bytes), value
            assert name == name.lower(), name


class AsgiDriver:
    """Calls an ASGI app without a server. As a context manager it runs the app's lifespan."""

    def __init__(self, app: Any, *, oserror_after_disconnect: bool = False) -> None:
        self.app = app
        self._oserror = oserror_after_disconnect
        self._lifespan: asyncio.Task[None] | None = None
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()

    def start(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | None = b"",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        **scope: Any,
    ) -> Exchange:
        """Begin a request; with `body=None` the test feeds the body itself.

        `path` is as on the wire, query included; `**scope` overrides keys of the ASGI scope.
        """
        raw_path, _, query = path.partition("?")
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if json is not None:
            body = jsonlib.dumps(json).encode()
            pairs.append(("content-type", "application/json"))
        if body and not any(name.lower() == "content-length" for name, _ in pairs):
            pairs.append(("content-length", str(len(body))))
        full_scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in pairs],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
            "state": {},
        } | scope
        exchange = Exchange(self.app, full_scope, oserror=self._oserror)
        if body is not None:
            exchange.feed(body, more=False)
        return exchange

    async def request(self, method: str, path: str, **options: Any) -> Exchange:
        """Make a request and wait for its end; raise what the app raised."""
        exchange = self.start(method, path, **options)
        if (error := await exchange.ended()) is not None:
            raise error
        return exchange

    async def chat(self, prompt: str, *, headers: Any = (), **fields: Any) -> Exchange:
        """POST one user message to /v1/chat/completions."""
        messages = [{"role": "user", "content": prompt}]
        payload = {"model": "test-model", "messages": messages} | fields
        return await self.request("POST", "/v1/chat/completions", json=payload, headers=headers)

    async def __aenter__(self) -> Self:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._lifespan = asyncio.create_task(self.app(scope, self._to_app.get, self._from_app.put))
        await self._lifespan_step("startup")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._lifespan_step("shutdown")
        assert self._lifespan is not None
        await asyncio.wait_for(self._lifespan, DEADLINE_S)

    async def _lifespan_step(self, step: str) -> None:
        self._to_app.put_nowait({"type": f"lifespan.{step}"})
        answer = asyncio.create_task(self._from_app.get())
        assert self._lifespan is not None
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait([answer, self._lifespan], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self._lifespan
            raise AssertionError(f"the app ended its lifespan at {step}")
        assert answer.result()["type"] == f"lifespan.{step}.complete", answer.result()
