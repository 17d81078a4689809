"""Runs a blocking encoder in one worker thread, behind a bounded queue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

import numpy as np

from ..errors import EmbedderBusy, EmbedderError, StartupError
from ..giving_way import give_way
from ..ports import Encoder, Vector
from .waiting import Outcome, WaitingRoom, Work

# What encoders and the libraries below them are known to raise. It must not end the thread.
ENCODER_FAULTS = (
    EmbedderError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
CLOSE_S = 5.0  # an encoder that does not return by then is left behind; its thread is a daemon


class Batcher:
    """The ``Embedder`` over a blocking ``Encoder``.

    ``load`` makes the encoder, in the worker thread. A text that finds the thread idle is encoded
    at once; what queues up meanwhile is taken together, at most ``batch`` texts. Past ``queue``
    waiting texts a call raises ``EmbedderBusy``, past ``deadline_s`` ``EmbedderTimeout``. Equal
    texts in flight are encoded once, texts that nobody waits for any more not at all. If a batch
    fails, its texts are tried one by one, so that a bad text fails alone. Vectors are read-only.

    Belongs to the event loop that opened it. Adds 20 to 40 us to an encoding when idle.
    """

    def __init__(
        self,
        load: Callable[[], Encoder],
        *,
        deadline_s: float = 2.0,
        batch: int = 16,
        queue: int = 256,
    ) -> None:
        self._load = load
        self._batch = batch
        self._bound = queue
        self._room = WaitingRoom(deadline_s)
        self._queue: SimpleQueue[Work | None] = SimpleQueue()  # None ends the thread
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: asyncio.Future[Encoder | EmbedderError | StartupError] | None = None
        self._ended: asyncio.Event = asyncio.Event()
        self._encoder: Encoder | None = None
        self._closed = False

    @property
    def identity(self) -> str:
        """Return the identity of the encoder. Raises ``EmbedderError`` before ``open``."""
        return self._ready().identity

    @property
    def dim(self) -> int:
        """Return the length of the vectors. Raises ``EmbedderError`` before ``open``."""
        return self._ready().dim

    async def embed(self, text: str) -> Vector | None:
        """Return the vector of ``text``, None when it must not be matched by meaning."""
        self._ready()
        return await self._room.wait(text, self._submit)

    async def open(self) -> None:
        """Load the encoder in the worker thread. Raises what ``load`` raises."""
        if self._closed:
            raise EmbedderError("the embedder is closed")
        if self._opened is None:
            self._loop = asyncio.get_running_loop()
            self._opened = self._loop.create_future()
            self._thread = threading.Thread(
                target=self._run, name="kindcache-embedder", daemon=True
            )
            self._thread.start()
        opened = await asyncio.shield(self._opened)
        if isinstance(opened, EmbedderError | StartupError):
            raise opened
        self._encoder = opened

    async def aclose(self) -> None:
        """End the thread; who still waits gets ``EmbedderError``."""
        self._closed = True
        self._encoder = None
        self._room.fail_all(EmbedderError("the embedder is closed"))
        if self._thread is None:
            return
        self._queue.put(None)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._ended.wait()
        except TimeoutError:
            return

    def _ready(self) -> Encoder:
        if self._encoder is None:
            raise EmbedderError("the embedder is not open")
        return self._encoder

    def _submit(self, work: Work) -> None:
        # Abandoned works count until the thread has passed them: a stuck encoder must not let
        # the queue grow.
        if self._queue.qsize() >= self._bound:
            raise EmbedderBusy(f"{self._bound} texts are waiting")
        self._queue.put(work)

    # In the worker thread

    def _run(self) -> None:
        give_way()
        opened: Encoder | EmbedderError | StartupError = EmbedderError("loading the encoder failed")
        try:
            opened = encoder = self._load()
            self._call(self._announce, opened)
            while (works := self._take()) is not None:
                self._call(self._room.settle, _encode(encoder, works))
        except (EmbedderError, StartupError) as error:
            opened = error
        finally:
            self._call(self._end, opened)

    def _take(self) -> list[Work] | None:
        while True:
            works: list[Work] = []
            item = self._queue.get()
            while item is not None:
                if item.waiters:
                    works.append(item)
                if len(works) >= self._batch:
                    return works
                try:
                    item = self._queue.get_nowait()
                except Empty:
                    break
            if item is None:
                return None
            if works:
                return works

    def _call(self, function: Callable[..., None], *args: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            self._queue.put(None)

    # In the event loop again

    def _announce(self, opened: Encoder | EmbedderError | StartupError) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(opened)

    def _end(self, opened: Encoder | EmbedderError | StartupError) -> None:
        self._announce(opened)
        self._encoder = None
        self._room.fail_all(EmbedderError("the embedding thread has ended"))
        self._ended.set()


def _encode(encoder: Encoder, works: list[Work]) -> list[tuple[Work, Outcome]]:
    try:
        encoded = encoder.encode([work.text for work in works])
        return [
            (work, _own(encoded.vectors[row]) if encoded.fits[row] else None)
            for row, work in enumerate(works)
        ]
    except ENCODER_FAULTS as error:
        if len(works) > 1:
            return [outcome for work in works for outcome in _encode(encoder, [work])]
        if isinstance(error, EmbedderError):
            return [(works[0], error)]
        # The message of a foreign error may quote the text.
        failure = EmbedderError(f"the encoder failed with {type(error).__name__}")
        failure.__cause__ = error
        return [(works[0], failure)]


def _own(row: Vector) -> Vector:
    vector: Vector = np.array(row, dtype=np.float32)  # a view would keep the whole batch alive
    vector.setflags(write=False)
    return vector
