"""The models of the policies: each loaded once, each asked once for the same.

They live on an event loop in a thread of their own. Who asks waits for them without letting any
other work on, so that the order of things never hangs on how fast a model is. What will be asked
soon may be begun before.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from ...cache.embedders.choose import choose
from ...cache.ports import Embedder, PairScorer, Vector
from ...cache.scorers.choose import choose as choose_scorer
from ...config.judging_settings import JudgeSettings
from ...config.service_settings import EmbedderSettings
from ...policies.fusion import Fusion

T = TypeVar("T")
Start = Callable[[Coroutine[Any, Any, T]], Future[T]]

ONE_BY_ONE = frozenset({"onnx", "onnx-int8", "hashing"})  # runtimes


@dataclass(slots=True)
class KnownEmbedder:
    """An ``Embedder`` that asks ``inner`` once for each text. ``aclose`` leaves it open."""

    inner: Embedder
    start: Start[Any]
    one_by_one: bool  # a vector does not depend on what else is embedded
    vectors: dict[str, Vector | None] = field(default_factory=dict)
    begun: dict[str, Future[Vector | None]] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Return the encoder's identity."""
        return self.inner.identity

    @property
    def dim(self) -> int:
        """Return the length of the vectors."""
        return self.inner.dim

    async def embed(self, text: str) -> Vector | None:
        """Return the vector of ``text``; raises what the inner embedder raises."""
        if text not in self.vectors:
            begun = self.begun.pop(text, None) or self.start(self.inner.embed(text))
            self.vectors[text] = begun.result()
        return self.vectors[text]

    def begin(self, text: str) -> None:
        """Begin to embed ``text``, which will be asked for soon."""
        if self.one_by_one and text not in self.vectors and text not in self.begun:
            self.begun[text] = self.start(self.inner.embed(text))

    async def open(self) -> None:
        """Open the inner embedder, once."""
        self.start(self.inner.open()).result()

    async def aclose(self) -> None:
        """Do nothing: the next policy may need it."""


@dataclass(slots=True)
class KnownScorer:
    """A ``PairScorer`` that asks ``inner`` once for each pair. ``aclose`` leaves it open."""

    inner: PairScorer
    start: Start[Any]
    known: dict[tuple[str, str], float | None] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Name the model."""
        return self.inner.identity

    @property
    def fusion(self) -> Fusion:
        """Say how its log-odds become a probability."""
        return self.inner.fusion

    async def score(self, asked: str, stored: str) -> float | None:
        """Return the log-odds of the pair; raises what the inner scorer raises."""
        pair = (asked, stored)
        if pair not in self.known:
            self.known[pair] = self.start(self.inner.score(asked, stored)).result()
        return self.known[pair]

    async def open(self) -> None:
        """Open the inner scorer, once."""
        self.start(self.inner.open()).result()

    async def aclose(self) -> None:
        """Do nothing: the next policy may need it."""


class KnownModels:
    """Embedders and scorers by their settings: equal settings share one. A context manager."""

    def __init__(self, environ: Mapping[str, str], report: Callable[[str], None]) -> None:
        self._environ = environ
        self._report = report
        self._embedders: dict[str, KnownEmbedder] = {}
        self._scorers: dict[str, KnownScorer] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="kindcache-models", daemon=True
        )

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every model and end the thread."""
        for embedder in self._embedders.values():
            self._start(embedder.inner.aclose()).result()
        for scorer in self._scorers.values():
            self._start(scorer.inner.aclose()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def embedder(self, settings: EmbedderSettings) -> KnownEmbedder:
        """Return the embedder of ``settings``. Raises ``StartupError``."""
        name = settings.model_dump_json()
        if name not in self._embedders:
            key = self._environ.get(settings.api_key_env, "")
            inner = choose(settings, key, self._report)
            one_by_one = settings.runtime in ONE_BY_ONE
            self._embedders[name] = KnownEmbedder(inner, self._start, one_by_one)
        return self._embedders[name]

    def scorer(self, settings: JudgeSettings) -> KnownScorer | None:
        """Return the scorer of ``settings``, None where the guards decide alone."""
        name = settings.model_dump_json()
        if name not in self._scorers:
            key = self._environ.get(settings.api_key_env, "")
            inner = choose_scorer(settings, key, self._report)
            if inner is None:
                return None
            self._scorers[name] = KnownScorer(inner, self._start)
        return self._scorers[name]

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)
