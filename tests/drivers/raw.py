"""An upstream below HTTP: answers every connection with the bytes that it is given."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from .gate import Gate


@asynccontextmanager
async def raw_upstream(*steps: bytes | Gate, reset: bool = False) -> AsyncIterator[str]:
    """Yield a base URL. Each connection's first request head is read, the steps are written (or
    waited for), and the connection closes, with a TCP reset if asked."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for step in steps:
                if isinstance(step, Gate):
                    await step.passed()
                else:
                    writer.write(step)
                    await writer.drain()
        if reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://127.0.0.1:{port}/v1"
