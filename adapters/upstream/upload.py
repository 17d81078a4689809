"""A request body on its way to the upstream, piece by piece."""

from __future__ import annotations

import asyncio

from .client_presence import Client

PIECE_BYTES = 64 << 10


class Upload:
    """Iterates over a request body without holding more of it than one piece from the server.

    The upstream's silence is timed by ``silence`` only while the upstream has something to take:
    a slow client is not the upstream's fault.
    """

    def __init__(
        self,
        client: Client,
        first: bytes,
        *,
        more: bool,
        silence: asyncio.Timeout,
        timeout_s: float,
    ) -> None:
        self._client = client
        self._piece = memoryview(first)
        self._more = more
        self._silence: asyncio.Timeout | None = silence
        self._timeout_s = timeout_s

    def __aiter__(self) -> Upload:
        return self

    async def __anext__(self) -> memoryview:
        while not self._piece:
            if not self._more:
                raise StopAsyncIteration
            await self._refill()
        self._expect_progress(self._timeout_s)
        piece, self._piece = self._piece[:PIECE_BYTES], self._piece[PIECE_BYTES:]
        return piece

    async def _refill(self) -> None:
        self._expect_progress(None)
        data, self._more = await self._client.read()
        self._piece = memoryview(data)
        self._expect_progress(self._timeout_s)
        if not self._more:
            self._client.watch()

    def stop_timing(self) -> None:
        """Leave the clock alone: the upstream has answered, perhaps before it read everything."""
        self._silence = None

    def _expect_progress(self, within_s: float | None) -> None:
        if self._silence is not None:
            now = asyncio.get_running_loop().time()
            self._silence.reschedule(None if within_s is None else now + within_s)
