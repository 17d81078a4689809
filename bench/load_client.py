"""A lean HTTP/1.1 client that times answers. It must never be what is measured.

Requests are ready-made bytes, one connection carries one request at a time, and the clock is read
where bytes leave and arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"  # no body of this benchmark ends like that before its end


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. Times run from the moment the request was written."""

    status: int
    head: bytes  # status line and headers, as received
    body: bytes  # with its chunk framing, where it is chunked
    first_byte_s: float  # until the first byte of the body
    total_s: float

    def header(self, name: str) -> str:
        """Return the value of header ``name`` (lower case), "" when it is absent."""
        _, found, rest = self.head.partition(f"\r\n{name}: ".encode())
        return rest.partition(b"\r\n")[0].decode("latin-1") if found else ""


@dataclass(slots=True)
class Load:
    """What a number of requests came to."""

    responses: list[Response] = field(default_factory=list)
    wall_s: float = 0.0


class Connection(asyncio.Protocol):
    """One keep-alive connection. Close it after use."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._waiting: asyncio.Future[Response] | None = None
        self._received = b""
        self._body_from = 0  # where the body begins, 0 = the head is not whole yet
        self._body_bytes: int | None = None  # None = chunked
        self._sent_s = 0.0
        self._first_byte_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        """Fail the request under way."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> Response:
        """Send ``request`` and return its answer."""
        self._received = b""
        self._body_from = 0
        self._first_byte_s = 0.0
        self._waiting = asyncio.get_running_loop().create_future()
        self._sent_s = perf_counter()
        self._transport.write(request)
        return await self._waiting

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer and note the time of the first and of the last."""
        now_s = perf_counter()
        self._received += data
        if not self._body_from and not self._read_head():
            return
        if not self._first_byte_s and len(self._received) > self._body_from:
            self._first_byte_s = now_s - self._sent_s
        if self._whole() and self._waiting is not None:
            self._waiting.set_result(self._response(now_s))
            self._waiting = None

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _read_head(self) -> bool:
        end = self._received.find(HEAD_END)
        if end < 0:
            return False
        self._body_from = end + len(HEAD_END)
        head = self._received[:end].lower()
        _, given, rest = head.partition(b"\r\ncontent-length:")
        self._body_bytes = int(rest.partition(b"\r\n")[0]) if given else None
        return True

    def _whole(self) -> bool:
        if self._body_bytes is None:
            return self._received.endswith(LAST_CHUNK)
        return len(self._received) >= self._body_from + self._body_bytes

    def _response(self, now_s: float) -> Response:
        return Response(
            status=int(self._received[9:12]),
            head=self._received[: self._body_from],
            body=self._received[self._body_from :],
            first_byte_s=self._first_byte_s,
            total_s=now_s - self._sent_s,
        )


async def connect(port: int) -> Connection:
    """Open a connection to 127.0.0.1."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection


async def load(port: int, requests: Iterable[bytes], clients: int = 1) -> Load:
    """Send ``requests`` through ``clients`` connections, each as soon as one is free.

    With one client the responses are in the order of their requests.
    """
    result = Load()
    waiting = iter(requests)

    async def send_all(connection: Connection) -> None:
        for request in waiting:
            result.responses.append(await connection.ask(request))

    with ExitStack() as stack:
        connections = [await connect(port) for _ in range(clients)]
        for connection in connections:
            stack.callback(connection.close)
        started_s = perf_counter()
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(send_all(connection))
        result.wall_s = perf_counter() - started_s
    return result


async def alternate(
    ports: tuple[int, int], requests: Sequence[bytes]
) -> list[tuple[Response, Response]]:
    """Send each request to both ports, the second one first every other time.

    What slows the machine then slows both alike.
    """
    pairs: list[tuple[Response, Response]] = []
    with ExitStack() as stack:
        first, second = [await connect(port) for port in ports]
        stack.callback(first.close)
        stack.callback(second.close)
        for number, request in enumerate(requests):
            if number % 2 == 0:
                pairs.append((await first.ask(request), await second.ask(request)))
            else:
                later = await second.ask(request)
                pairs.append((await first.ask(request), later))
    return pairs
