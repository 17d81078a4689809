"""Models compute at a lower priority than the event loop that answers from memory."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from kindcache.cache.embedders.batching import Batcher
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.giving_way import NICER, NOBODY_WAITS, give_way
from kindcache.cache.scorers.threaded import ThreadedScorer
from kindcache.policies.fusion import Fusion

pytestmark = pytest.mark.anyio
LOWER = NICER if sys.platform == "linux" else 0


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_only_the_thread_that_asks_gives_way() -> None:
    before, found = priority(), []

    def work() -> None:
        give_way()
        found.append(priority())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before + LOWER]
    assert priority() == before


async def test_models_keep_a_share_beside_others_that_compute() -> None:
    """A step is worth a factor of 1.25 or so."""
    left = 1.25**-NICER
    assert left / (1 + left) >= 0.2  # of a core that one other thread keeps busy
    assert NOBODY_WAITS > NICER


async def test_the_encoder_computes_at_a_lower_priority() -> None:
    found = []

    class Encoder(HashingEncoder):
        def encode(self, texts):  # type: ignore[no-untyped-def]
            found.append(priority())
            return super().encode(texts)

    embedder = Batcher(Encoder)
    await embedder.open()
    await embedder.embed("hello there")
    await embedder.aclose()
    assert found == [priority() + LOWER]


async def test_the_scorer_computes_at_a_lower_priority() -> None:
    found = []

    class Model:
        identity = "none"
        fusion = Fusion("none", 0.0, 1.0, 0.0)

        def logit(self, asked: str, stored: str) -> float | None:
            found.append(priority())
            return float(len(asked) - len(stored))

    scorer = ThreadedScorer(Model)
    await scorer.open()
    await scorer.score("one", "two")
    await scorer.aclose()
    assert found == [priority() + LOWER]
