"""Runs a blocking pair model in a thread of its own: bounded, with a deadline for every caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from ...policies.fusion import Fusion
from ..errors import ScorerError
from ..giving_way import give_way


class PairModel(Protocol):
    """A blocking model over two prompts. One call at a time."""

    @property
    def identity(self) -> str:
        """Name model and revision; what was calibrated on one identity holds for no other."""
        ...

    @property
    def fusion(self) -> Fusion:
        """Say how its log-odds and the similarity become a probability."""
        ...

    def logit(self, asked: str, stored: str) -> float | None:
        """Return the log-odds that one answer fits both, None when it cannot read them."""
        ...


class ThreadedScorer:
    """The ``PairScorer`` over a ``PairModel``. ``load`` makes the model, in the thread.

    Past ``queue`` waiting pairs a call raises ``ScorerError``, and so it does past ``deadline_s``.
    Belongs to the event loop that opened it.
    """

    def __init__(
        self, load: Callable[[], PairModel], *, deadline_s: float = 0.5, queue: int = 64
    ) -> None:
        self._load = load
        self._deadline_s = deadline_s
        self._queue = queue
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="kindcache-scorer", initializer=give_way
        )
        self._model: PairModel | None = None
        self._waiting = 0

    @property
    def identity(self) -> str:
        """Return the model's identity, "" before ``open``."""
        return self._model.identity if self._model is not None else ""

    @property
    def fusion(self) -> Fusion:
        """Return the model's fusion. Raises ``ScorerError`` before ``open``."""
        if self._model is None:
            raise ScorerError("the scorer is not open")
        return self._model.fusion

    async def open(self) -> None:
        """Load the model in the thread. Raises what ``load`` raises."""
        if self._model is None:
            loop = asyncio.get_running_loop()
            self._model = await loop.run_in_executor(self._thread, self._load)

    async def score(self, asked: str, stored: str) -> float | None:
        """Return the log-odds that an answer to ``stored`` answers ``asked``."""
        if self._model is None:
            raise ScorerError("the scorer is not open")
        if self._waiting >= self._queue:
            raise ScorerError("too many pairs are waiting")
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, self._model.logit, asked, stored)
        self._waiting += 1
        work.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await work
        except TimeoutError as exc:
            raise ScorerError(f"no score within {self._deadline_s:g} s") from exc

    async def aclose(self) -> None:
        """End the thread. Safe to call twice."""
        self._model = None
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _done(self, work: asyncio.Future[float | None]) -> None:
        self._waiting -= 1
        if not work.cancelled():
            work.exception()  # seen: a caller who gave up no longer looks
