"""A blocking pair model behind its port."""

from __future__ import annotations

import asyncio
import threading

import pytest

from kindcache.cache.errors import ScorerError, StartupError
from kindcache.cache.scorers.threaded import ThreadedScorer
from kindcache.policies.fusion import Fusion

pytestmark = pytest.mark.anyio


class Model:
    """Scores by length, when its gate lets it."""

    identity = "by length"
    fusion = Fusion("by length", 0.0, 1.0, 0.0)

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[int] = set()

    def logit(self, asked: str, stored: str) -> float | None:
        self.threads.add(threading.get_ident())
        self.gate.wait(10)
        if not asked:
            raise ScorerError("broken")
        return float(len(asked) - len(stored))


async def test_it_scores_in_one_thread_of_its_own() -> None:
    model = Model()
    scorer = ThreadedScorer(lambda: model)
    await scorer.open()
    scores = await asyncio.gather(*(scorer.score("x" * n, "xx") for n in range(1, 9)))
    await scorer.aclose()
    assert scores == [float(n - 2) for n in range(1, 9)]
    assert len(model.threads) == 1
    assert threading.get_ident() not in model.threads


async def test_before_it_is_open_and_after_it_is_closed_it_refuses() -> None:
    scorer = ThreadedScorer(Model)
    for _ in range(2):
        with pytest.raises(ScorerError):
            await scorer.score("a", "b")
        await scorer.open()
        assert scorer.identity == "by length"
        await scorer.aclose()
        await scorer.aclose()
        scorer = ThreadedScorer(Model)


async def test_a_model_that_cannot_be_loaded_stops_the_start() -> None:
    def load() -> Model:
        raise StartupError("no weights")

    with pytest.raises(StartupError, match="no weights"):
        await ThreadedScorer(load).open()


async def test_late_and_too_many_are_errors_and_it_recovers() -> None:
    model = Model()
    scorer = ThreadedScorer(lambda: model, deadline_s=0.05, queue=1)
    await scorer.open()
    model.gate.clear()
    late = asyncio.create_task(scorer.score("a", "b"))
    await asyncio.sleep(0)
    with pytest.raises(ScorerError, match="too many"):
        await scorer.score("a", "b")
    with pytest.raises(ScorerError, match=r"within 0\.05 s"):
        await late
    model.gate.set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await scorer.score("aa", "b") == 1.0
            except ScorerError:
                await asyncio.sleep(0)
            else:
                break
    await scorer.aclose()


async def test_an_error_of_the_model_is_the_callers() -> None:
    scorer = ThreadedScorer(Model)
    await scorer.open()
    with pytest.raises(ScorerError, match="broken"):
        await scorer.score("", "b")
    await scorer.aclose()


async def test_an_error_of_a_library_is_named_without_its_texts_and_harms_nobody_after() -> None:
    class Broken(Model):
        def logit(self, asked: str, stored: str) -> float | None:
            if asked == "a secret":
                raise ValueError(asked)
            return super().logit(asked, stored)

    scorer = ThreadedScorer(Broken)
    await scorer.open()
    with pytest.raises(ScorerError, match="ValueError") as caught:
        await scorer.score("a secret", "b")
    assert "secret" not in str(caught.value)
    assert await scorer.score("aa", "b") == 1.0
    await scorer.aclose()


async def test_a_pair_that_nobody_waits_for_any_more_is_not_read() -> None:
    read: list[str] = []

    class Noting(Model):
        def logit(self, asked: str, stored: str) -> float | None:
            read.append(asked)
            return super().logit(asked, stored)

    model = Noting()
    scorer = ThreadedScorer(lambda: model)
    await scorer.open()
    model.gate.clear()
    first, gone = (asyncio.create_task(scorer.score(text, "b")) for text in ("first", "gone"))
    while not read:
        await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    model.gate.set()
    await first
    assert await scorer.score("last", "b") == 3.0
    assert read == ["first", "last"]
    await scorer.aclose()


async def test_who_still_waits_when_it_is_closed_is_told() -> None:
    model = Model()
    scorer = ThreadedScorer(lambda: model)
    await scorer.open()
    model.gate.clear()
    first, second = (asyncio.create_task(scorer.score(text, "b")) for text in ("aa", "bb"))
    while not model.threads:
        await asyncio.sleep(0)
    await scorer.aclose()
    model.gate.set()
    assert await first == 1.0
    with pytest.raises(ScorerError, match="closed"):
        await second
