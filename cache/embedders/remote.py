"""Asks an OpenAI-compatible server for vectors."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import aiohttp
import msgspec
import numpy as np

from ..errors import EmbedderBusy, EmbedderError, EmbedderTimeout
from ..ports import Matrix, Vector
from .waiting import Outcome, WaitingRoom, Work

# No tokenizer is at hand. English has 4 to 5 bytes a token and few scripts have less than 3, so a
# text of more than 3 bytes a token of the window is taken for too long.
BYTES_PER_TOKEN = 3
BYTES_PER_NUMBER = 32  # of a vector in JSON, generously
ENVELOPE_BYTES = 64 << 10


class _Item(msgspec.Struct):
    embedding: list[float]
    index: int


class _Reply(msgspec.Struct):
    data: list[_Item]


_decoder = msgspec.json.Decoder(_Reply)


class _Rejected(EmbedderError):
    """The server refused this request; another one may pass."""


class RemoteEmbedder:
    """The ``Embedder`` over ``POST {url}/embeddings``.

    At most ``connections`` requests at a time; a text goes at once while one is free, texts that
    wait meanwhile share the next request, at most ``batch``. Vectors are checked (number, length
    ``dim``, finite) and normalised. Everything that goes wrong is an ``EmbedderError``; a request
    that the server refuses is repeated text by text, so that a bad text fails alone.

    The window is approximate: a text of over ``3 * window`` bytes of UTF-8 has no vector. Set
    ``window`` below the model's own where texts are mostly digits or symbols, and use a server that
    refuses what is too long for it: one that cuts off silently makes different texts equal.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        dim: int,
        window: int,
        api_key: str = "",
        deadline_s: float = 2.0,
        batch: int = 16,
        queue: int = 256,
        connections: int = 8,
    ) -> None:
        self.identity = f"remote/{url.rstrip('/')}/{model}/{dim}"
        self.dim = dim
        self.window = window
        self._url = f"{url.rstrip('/')}/embeddings"
        self._model = model
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._deadline_s = deadline_s
        self._batch = batch
        self._bound = queue
        self._connections = connections
        self._room = WaitingRoom(deadline_s)
        self._queue: deque[Work] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the connection pool. The server is not asked: it may be down and come back."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                timeout=aiohttp.ClientTimeout(total=self._deadline_s),
                headers=self._headers,
            )

    async def aclose(self) -> None:
        """End the requests under way; who still waits gets ``EmbedderError``."""
        session, self._session = self._session, None
        self._queue.clear()
        self._room.fail_all(EmbedderError("the embedder is closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if session is not None:
            await session.close()

    async def embed(self, text: str) -> Vector | None:
        """Return the vector of ``text``, None when it is too long, blank or not valid Unicode."""
        if self._session is None:
            raise EmbedderError("the embedder is not open")
        if not text.strip() or not self._fits(text):
            return None
        return await self._room.wait(text, self._submit)

    def _fits(self, text: str) -> bool:
        try:
            return len(text.encode()) <= BYTES_PER_TOKEN * self.window
        except UnicodeEncodeError:
            return False

    def _submit(self, work: Work) -> None:
        if len(self._queue) >= self._bound:
            raise EmbedderBusy(f"{self._bound} texts are waiting")
        self._queue.append(work)
        if len(self._tasks) < self._connections:
            task = asyncio.get_running_loop().create_task(self._serve())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self) -> None:
        while works := self._take():
            try:
                self._room.settle(await self._outcomes(works))
            finally:  # without effect after the above
                self._room.settle(
                    [(work, EmbedderError("the request was ended")) for work in works]
                )

    def _take(self) -> list[Work]:
        works: list[Work] = []
        while self._queue and len(works) < self._batch:
            work = self._queue.popleft()
            if work.waiters:
                works.append(work)
        return works

    async def _outcomes(self, works: Sequence[Work]) -> list[tuple[Work, Outcome]]:
        try:
            vectors = await self._request([work.text for work in works])
        except _Rejected as error:
            if len(works) == 1:
                return [(works[0], EmbedderError(*error.args))]
            return [pair for work in works for pair in await self._outcomes([work])]
        except EmbedderError as error:
            return [(work, error) for work in works]
        return [(work, vectors[row].copy()) for row, work in enumerate(works)]

    async def _request(self, texts: list[str]) -> Matrix:
        if self._session is None:
            raise EmbedderError("the embedder is closed")
        body = {"model": self._model, "input": texts, "encoding_format": "float"}
        try:
            async with self._session.post(
                self._url, data=msgspec.json.encode(body), allow_redirects=False
            ) as response:
                if response.status in (400, 413, 422):
                    raise _Rejected(f"the embedding server answered {response.status}")
                if response.status != 200:
                    raise EmbedderError(f"the embedding server answered {response.status}")
                data = await self._read(response, len(texts))
        except TimeoutError as exc:
            raise EmbedderTimeout(f"no vectors within {self._deadline_s:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise EmbedderError(f"the embedding server failed ({type(exc).__name__})") from exc
        return self._checked(data, len(texts))

    async def _read(self, response: aiohttp.ClientResponse, n: int) -> bytes:
        bound = ENVELOPE_BYTES + n * self.dim * BYTES_PER_NUMBER
        data = bytearray()
        async for chunk in response.content.iter_chunked(64 << 10):
            data += chunk
            if len(data) > bound:
                raise EmbedderError(f"the embedding server sent over {bound} bytes")
        return bytes(data)

    def _checked(self, data: bytes, n: int) -> Matrix:
        try:
            items = sorted(_decoder.decode(data).data, key=lambda item: item.index)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise EmbedderError("the embedding server sent something else than vectors") from exc
        if [item.index for item in items] != list(range(n)):
            raise EmbedderError(f"the embedding server sent {len(items)} vectors for {n} texts")
        if any(len(item.embedding) != self.dim for item in items):
            raise EmbedderError(
                f"the embedding server's vectors do not have embedder.dimensions: {self.dim}"
            )
        vectors = np.array([item.embedding for item in items], dtype=np.float64)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or not (norms > 0.0).all():
            raise EmbedderError("the embedding server sent a vector without a direction")
        normalised: Matrix = (vectors / norms).astype(np.float32)
        return normalised
