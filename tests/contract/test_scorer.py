"""What every pair scorer promises."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from kindcache.cache.errors import ScorerError
from kindcache.cache.ports import PairScorer
from kindcache.cache.scorers import cross_encoder, shipped
from kindcache.cache.scorers.remote import RemoteScorer
from kindcache.cache.scorers.threaded import PairModel, ThreadedScorer
from kindcache.policies.fusion import Fusion
from tests.drivers.scoring_server import common, scoring_server
from tests.drivers.tiny import tiny_cross_encoder

pytestmark = pytest.mark.anyio

PATIENT_S = 30.0
PAIR = ("How do I cancel my order?", "How can I cancel the order?")
PAIRS = [PAIR, ("what is the capital?", "how do i cancel the order?"), ("yes", "get a refund")]


class Kind(Protocol):
    """How the suite makes scorers of one kind, and makes them slow."""

    async def make(self, deadline_s: float = PATIENT_S, queue: int = 64) -> PairScorer: ...
    def hold(self) -> None: ...
    async def held(self) -> None: ...
    def release(self) -> None: ...
    async def aclose(self) -> None: ...


class CommonWords:
    """A model of no weight."""

    identity = "common words"
    fusion = Fusion("common words", 0.0, 1.0, 0.0)

    def logit(self, asked: str, stored: str) -> float | None:
        share = common(asked, stored)
        return math.log(share / (1 - share)) if len(asked + stored) < 1000 else None


class Gated:
    """A model that waits at a gate."""

    def __init__(self, model: PairModel) -> None:
        self.model = model
        self.identity = model.identity
        self.fusion = model.fusion
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def logit(self, asked: str, stored: str) -> float | None:
        self.entered.release()
        self.gate.wait(10)
        return self.model.logit(asked, stored)


class Local:
    def __init__(self, model: PairModel) -> None:
        self.model = Gated(model)
        self.made: list[PairScorer] = []

    async def make(self, deadline_s: float = PATIENT_S, queue: int = 64) -> PairScorer:
        scorer = ThreadedScorer(lambda: self.model, deadline_s=deadline_s, queue=queue)
        self.made.append(scorer)
        await scorer.open()
        return scorer

    def hold(self) -> None:
        self.model.gate.clear()

    async def held(self) -> None:
        await asyncio.to_thread(self.model.entered.acquire)

    def release(self) -> None:
        self.model.gate.set()

    async def aclose(self) -> None:
        self.release()
        for scorer in self.made:
            await scorer.aclose()


class Remote:
    def __init__(self) -> None:
        self._stack = ExitStack()
        self._server = self._stack.enter_context(scoring_server())
        self.made: list[PairScorer] = []

    async def make(self, deadline_s: float = PATIENT_S, queue: int = 64) -> PairScorer:
        scorer = RemoteScorer(self._server.url, deadline_s=deadline_s, queue=queue)
        self.made.append(scorer)
        await scorer.open()
        return scorer

    def hold(self) -> None:
        self._server.gate.clear()

    async def held(self) -> None:
        await asyncio.to_thread(self._server.entered.acquire)

    def release(self) -> None:
        self._server.gate.set()

    async def aclose(self) -> None:
        self.release()
        for scorer in self.made:
            await scorer.aclose()
        self._stack.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(params=["threaded", "shipped", "cross-encoder", "remote"])
async def kind(request: pytest.FixtureRequest) -> AsyncIterator[Kind]:
    made: Kind
    match request.param:
        case "threaded":
            made = Local(CommonWords())
        case "shipped":
            made = Local(shipped.load())
        case "cross-encoder":
            made = Local(cross_encoder.load(str(request.getfixturevalue("tiny"))))
        case _:
            made = Remote()
    yield made
    await made.aclose()


async def test_a_score_is_a_finite_number_and_a_probability(kind: Kind) -> None:
    scorer = await kind.make()
    for pair in PAIRS:
        logit = await scorer.score(*pair)
        assert isinstance(logit, float)
        assert math.isfinite(logit)
        assert 0.0 <= scorer.fusion.probability(0.9, logit) <= 1.0


async def test_more_log_odds_are_more_probable(kind: Kind) -> None:
    fusion = (await kind.make()).fusion
    chances = [fusion.probability(0.9, logit) for logit in (-4.0, -1.0, 0.0, 1.0, 4.0)]
    assert chances == sorted(set(chances))


async def test_equal_pairs_have_equal_scores_and_one_identity(kind: Kind) -> None:
    one, two = await kind.make(), await kind.make()
    assert one.identity == two.identity == one.fusion.scorer != ""
    assert await one.score(*PAIR) == await one.score(*PAIR) == await two.score(*PAIR)


async def test_a_pair_that_is_too_long_has_no_score(kind: Kind) -> None:
    scorer = await kind.make()
    assert await scorer.score("cancel the order " * 200, "cancel the order") is None
    assert await scorer.score("cancel the order", "cancel the order " * 200) is None
    assert await scorer.score(*PAIR) is not None


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800", "🍎" * 50, "x" * 100_000])
async def test_a_bad_text_harms_nobody(kind: Kind, text: str) -> None:
    scorer = await kind.make()
    bad = asyncio.create_task(_score_or_error(scorer, text))
    good = await asyncio.gather(*(scorer.score(*PAIR) for _ in range(5)))
    assert None not in good
    outcome = await bad
    assert outcome is None or math.isfinite(outcome)


async def test_pairs_at_once_get_their_own_scores(kind: Kind) -> None:
    scorer = await kind.make()
    alone = [await scorer.score(*pair) for pair in PAIRS]
    together = await asyncio.gather(*(scorer.score(*pair) for pair in PAIRS * 9))
    assert list(together) == alone * 9


async def test_a_late_score_is_an_error_and_the_next_call_works(kind: Kind) -> None:
    scorer = await kind.make(deadline_s=0.05)
    kind.hold()
    with pytest.raises(ScorerError, match=r"within 0\.05 s"):
        await scorer.score(*PAIR)
    kind.release()
    assert await (await kind.make()).score(*PAIR) is not None


async def test_past_the_queue_a_pair_is_refused_at_once(kind: Kind) -> None:
    scorer = await kind.make(queue=1)
    kind.hold()
    waiting = asyncio.create_task(scorer.score(*PAIR))
    await kind.held()
    with pytest.raises(ScorerError, match="too many"):
        await scorer.score(*PAIR)
    kind.release()
    assert await waiting is not None


async def test_a_cancelled_call_leaves_the_others_alone(kind: Kind) -> None:
    scorer = await kind.make()
    kind.hold()
    gone, stays = (asyncio.create_task(scorer.score(*PAIR)) for _ in range(2))
    await kind.held()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    kind.release()
    assert await stays is not None


async def test_closing_twice_is_allowed_and_final(kind: Kind) -> None:
    scorer = await kind.make()
    await scorer.aclose()
    await scorer.aclose()
    with pytest.raises(ScorerError):
        await scorer.score(*PAIR)


async def _score_or_error(scorer: PairScorer, text: str) -> float | None:
    try:
        return await scorer.score(text, PAIR[1])
    except ScorerError:
        return None
