"""Runs a blocking pair model in a thread of its own: bounded, with a deadline for every caller."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from ...policies.fusion import Fusion
from ..embedders.batching import ENCODER_FAULTS
from ..errors import ScorerError
from ..giving_way import give_way

Outcome = float | ScorerError | None  # an error travels as a value: nobody may wait for it any more


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


@dataclass(frozen=True, slots=True)
class _Pair:
    asked: str
    stored: str
    outcome: asyncio.Future[Outcome]


class ThreadedScorer:
    """The ``PairScorer`` over a ``PairModel``. ``load`` makes the model, in a thread.

    Past ``queue`` waiting pairs a call raises ``ScorerError``, and so it does past ``deadline_s``.
    A pair that nobody waits for any more is not read. Belongs to the event loop that opened it.
    A queue of its own takes half as long as an executor: 15 us there and back.
    """

    def __init__(
        self, load: Callable[[], PairModel], *, deadline_s: float = 0.5, queue: int = 64
    ) -> None:
        self._load = load
        self._deadline_s = deadline_s
        self._queue = queue
        self._pairs: SimpleQueue[_Pair | None] = SimpleQueue()  # None ends the thread
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
        """Load the model in a thread. Raises what ``load`` raises."""
        if self._model is not None:
            return
        loop = asyncio.get_running_loop()
        loading = ThreadPoolExecutor(1, "kindcache-scorer-load", initializer=give_way)
        try:
            model = await loop.run_in_executor(loading, self._load)
        finally:
            loading.shutdown(wait=False)
        self._model = model
        run = threading.Thread(
            target=self._run, args=(model, loop), name="kindcache-scorer", daemon=True
        )
        run.start()

    async def score(self, asked: str, stored: str) -> float | None:
        """Return the log-odds that an answer to ``stored`` answers ``asked``."""
        if self._model is None:
            raise ScorerError("the scorer is not open")
        if self._waiting >= self._queue:
            raise ScorerError("too many pairs are waiting")
        loop = asyncio.get_running_loop()
        pair = _Pair(asked, stored, loop.create_future())
        timer = loop.call_later(self._deadline_s, self._expire, pair)
        self._waiting += 1
        self._pairs.put(pair)
        try:
            outcome = await pair.outcome
        finally:
            timer.cancel()
        if isinstance(outcome, ScorerError):
            raise type(outcome)(*outcome.args) from outcome.__cause__
        return outcome

    async def aclose(self) -> None:
        """End the thread. Safe to call twice."""
        self._model = None
        self._pairs.put(None)

    # In the thread

    def _run(self, model: PairModel, loop: asyncio.AbstractEventLoop) -> None:
        give_way()
        try:
            while (pair := self._pairs.get()) is not None:
                outcome: Outcome = ScorerError("the scorer is closed")
                if self._model is not None and not pair.outcome.done():
                    outcome = _logit(model, pair)
                loop.call_soon_threadsafe(self._settle, pair, outcome)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            return
        finally:
            self._model = None

    # In the event loop again

    def _settle(self, pair: _Pair, outcome: Outcome) -> None:
        self._waiting -= 1
        if not pair.outcome.done():
            pair.outcome.set_result(outcome)

    def _expire(self, pair: _Pair) -> None:
        if not pair.outcome.done():
            pair.outcome.set_result(ScorerError(f"no score within {self._deadline_s:g} s"))


def _logit(model: PairModel, pair: _Pair) -> Outcome:
    try:
        return model.logit(pair.asked, pair.stored)
    except ScorerError as error:
        return error
    except ENCODER_FAULTS as error:
        # The message of a foreign error may quote the texts.
        failure = ScorerError(f"the pair model failed with {type(error).__name__}")
        failure.__cause__ = error
        return failure
