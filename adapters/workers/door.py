"""A worker's private socket: it answers one word, to the other workers of its parent.

A question is a word and a newline, an answer its length in a line and then itself: an answer that
ends early is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ...cache.errors import StartupError

MOST_BYTES = 16 << 20
ASKING_S = 5.0  # for the word, once connected

Answers = Mapping[str, Callable[[], Awaitable[bytes | None]]]  # None: closed without a word


class Door:
    """Answers at ``path`` while it is open. Who can reach the folder may ask."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers: Answers = {}
        self._server: asyncio.AbstractServer | None = None
        self._asked: set[asyncio.Task[None]] = set()

    async def open(self, answers: Answers) -> None:
        """Answer from now on. Raises ``StartupError``."""
        self._answers = answers
        try:
            self._path.unlink(missing_ok=True)  # of one that was killed
            self._server = await asyncio.start_unix_server(self._opened, self._path)
        except OSError as exc:
            raise StartupError(f"cannot listen on {self._path}: {exc.strerror or exc}") from exc

    async def aclose(self) -> None:
        """Answer no more. Safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._asked:
            task.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASKING_S):
                word = (await reader.readline()).strip().decode("ascii", "replace")
            if word in self._answers:
                answer = await self._answers[word]()
                if answer is None:
                    return
                writer.write(b"%d\n" % len(answer) + answer)
                async with asyncio.timeout(ASKING_S):
                    await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # who asked has gone
        finally:
            writer.close()


async def ask(path: Path, word: str, deadline_s: float) -> bytes | None:
    """Return what the worker behind ``path`` answers, None where it does not in time."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(deadline_s):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(word.encode() + b"\n")
            size_bytes = int(await reader.readline())
            return await reader.readexactly(size_bytes) if size_bytes <= MOST_BYTES else None
    except (OSError, EOFError, TimeoutError, ValueError):
        return None
    finally:
        if writer is not None:
            with suppress(OSError):
                writer.close()
