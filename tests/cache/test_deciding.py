"""Which of the nearest entries answers, with a scorer and without."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kindcache.cache.deciding import SCORED, Decider
from kindcache.cache.engine import Engine
from kindcache.cache.errors import ScorerError
from kindcache.cache.events import Failed
from kindcache.cache.outcome import Found, Lead
from kindcache.cache.settling import release, settle
from kindcache.policies.fusion import Fusion
from kindcache.policies.verdict import Reason
from tests.cache.small_engine import (
    Seen,
    anew,
    fill,
    found,
    leading,
    received,
    request,
    running,
)
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

STORED = "show the code for sorting a list"
ASKED = "please show the code for sorting a list"


@dataclass
class Scripted:
    """Gives each stored prompt the log-odds that the test says."""

    odds: dict[str, float | ScorerError | None]
    asked: list[str] = field(default_factory=list)
    identity: str = "scripted"
    fusion: Fusion = field(default_factory=lambda: Fusion("scripted", 0.0, 1.0, 0.0))

    async def score(self, asked: str, stored: str) -> float | None:
        self.asked.append(stored)
        odds = self.odds[stored]
        if isinstance(odds, ScorerError):
            raise odds
        return odds

    async def open(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to free."""


def judged_by(engine: Engine, seen: Seen, scorer: Scripted) -> None:
    engine.decider = Decider(scorer, seen, engine.clock)


async def test_a_probable_candidate_is_served_with_its_probability(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "answer")
        judged_by(at.engine, at.seen, Scripted({STORED: 9.0}))
        outcome = await found(at.engine, request(ASKED))
    assert outcome.hit.probability == pytest.approx(0.99988, abs=1e-4)
    assert outcome.trace.judge_s > 0


@pytest.mark.parametrize(
    ("odds", "reason"),
    [(0.0, Reason.UNSURE), (None, Reason.UNFAMILIAR), (ScorerError("late"), Reason.SCORER)],
)
async def test_doubt_and_failure_of_the_scorer_are_misses(
    clock: FakeClock, odds: float | ScorerError | None, reason: Reason
) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "answer")
        judged_by(at.engine, at.seen, Scripted({STORED: odds}))
        outcome = await leading(at.engine, request(ASKED))
        assert outcome.miss.reason is reason
        assert len(at.seen.of(Failed)) == (reason is Reason.SCORER)


async def test_the_next_candidate_gets_its_chance_and_few_are_asked(clock: FakeClock) -> None:
    stored = [f"{STORED} {extra}" for extra in ("now", "soon", "again", "here", "there")]
    async with running(clock) as at:
        for prompt in stored:
            settle(at.engine, await anew(at.engine, request(prompt)), received(prompt))
        scorer = Scripted(dict.fromkeys(stored, 0.0))
        judged_by(at.engine, at.seen, scorer)
        missed = await at.engine.lookup(request(STORED))
        assert isinstance(missed, Lead)
        release(at.engine, missed)
        assert len(scorer.asked) == SCORED
        second = scorer.asked[1]
        scorer.odds[second] = 9.0
        served = await at.engine.lookup(request(STORED))
    assert isinstance(served, Found)
    assert served.payload.prompt == second


async def test_a_miss_speaks_of_the_candidate_that_came_nearest_to_being_served(
    clock: FakeClock,
) -> None:
    stored = [f"{STORED} {extra}" for extra in ("now", "soon", "again", "here", "there")]
    async with running(clock) as at:
        for prompt in stored:
            settle(at.engine, await anew(at.engine, request(prompt)), received(prompt))
        scorer = Scripted(dict.fromkeys(stored, -1.0))
        judged_by(at.engine, at.seen, scorer)
        first = await at.engine.lookup(request(STORED))
        assert isinstance(first, Lead)
        release(at.engine, first)
        scorer.odds[scorer.asked[1]] = 0.0
        second = await at.engine.lookup(request(STORED))
        assert isinstance(second, Lead)
        release(at.engine, second)
    assert second.miss.probability == pytest.approx(0.5)
    assert second.miss.key != first.miss.key


async def test_exact_hits_ask_no_scorer(clock: FakeClock) -> None:
    async with running(clock) as at:
        await fill(at.engine, request(STORED), "answer")
        judged_by(at.engine, at.seen, Scripted({}))
        assert (await found(at.engine, request(STORED))).hit.probability is None


LOADED = """
defaults: {similarity_threshold: 0.5, min_probability: 0.9, ttl: 1h}
categories: {default: {under_load: {min_probability: 0.6}}}
"""


@pytest.mark.parametrize(("better", "relaxed"), [(9.0, False), (0.0, True)])
async def test_under_load_a_candidate_that_needs_none_goes_first(
    clock: FakeClock, better: float, *, relaxed: bool
) -> None:
    stored = ["show the code for sorting a list now", "show the code for sorting a list soon"]
    async with running(clock, text=LOADED) as at:
        for prompt in stored:
            settle(at.engine, await anew(at.engine, request(prompt)), received(prompt))
        scorer = Scripted(dict.fromkeys(stored, 0.0))
        judged_by(at.engine, at.seen, scorer)
        asking = request(STORED)
        missed = await at.engine.lookup(asking)
        assert isinstance(missed, Lead)
        release(at.engine, missed)
        first, second = scorer.asked
        scorer.odds |= {first: 1.0, second: better}  # 0.73: enough under load alone
        at.engine.policy.use_loads({asking.call.model: 1.0})
        served = await at.engine.lookup(asking)
    assert isinstance(served, Found)
    assert bool(served.hit.relaxed) is relaxed
    assert served.payload.prompt == (first if relaxed else second)
