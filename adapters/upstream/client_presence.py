"""The client as a forwarding app sees it: its request body, and whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.types import Message, Receive, Send

T = TypeVar("T")


class ClientGone(Exception):
    """The client has left; nobody waits for the answer."""


class Client:
    """The client of one request, used by the task that constructs it.

    ``receive`` has one reader at a time: the upload while there is a body to read, then a watcher
    that waits for ``http.disconnect``. When the client leaves, only waiting for the upstream is
    interrupted, never a ``send``, so that a middleware in front can finish what it does there.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._waiting = False
        self._interrupted = False
        self._gone = False
        self._closed = False

    async def read(self) -> tuple[bytes, bool]:
        """Return the next piece of the body and whether more follows. Raises ``ClientGone``."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._leave()
            raise ClientGone
        return message.get("body", b""), message.get("more_body", False)

    def watch(self) -> None:
        """Start to wait for the client to leave; call once, when its body has been read."""
        if not self._closed:
            self._watcher = asyncio.create_task(self._watch())

    async def unless_gone(self, upstream: Callable[[], Awaitable[T]]) -> T:
        """Await something of the upstream; raise ``ClientGone`` as soon as the client leaves."""
        if self._gone:
            raise ClientGone
        self._waiting = True
        try:
            return await upstream()
        except BaseException as exc:
            if self._interrupted and not self._cancelled_by_others():
                raise ClientGone from exc
            raise
        finally:
            self._waiting = False

    async def send(self, message: Message) -> None:
        """Send to the client. Raises ``ClientGone`` if it cannot be reached (ASGI 2.4)."""
        try:
            await self._send(message)
        except OSError as exc:
            raise ClientGone from exc

    async def aclose(self) -> None:
        """Stop watching. Safe to call twice."""
        self._closed = True
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return
        watcher.cancel()
        await asyncio.wait([watcher])
        if not watcher.cancelled() and (error := watcher.exception()) is not None:
            raise error

    async def _watch(self) -> None:
        message = await self._receive()
        while message["type"] != "http.disconnect":
            await asyncio.sleep(0)  # a receive that never waits must not stop the loop
            message = await self._receive()
        self._leave()

    def _leave(self) -> None:
        self._gone = True
        if self._waiting and self._task is not None:
            self._waiting = False
            self._interrupted = True
            self._task.cancel()

    def _cancelled_by_others(self) -> bool:
        """Take our own cancellation back, and say whether somebody else's remains."""
        return self._task is not None and self._task.uncancel() > 0
