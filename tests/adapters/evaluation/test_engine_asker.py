"""The asker that has the serving code behind it."""

import pytest
from starlette.applications import Starlette

from kindcache.adapters.evaluation.engine_asker import EngineAsker
from kindcache.policies.fusion import Fusion
from tests.drivers import AsgiDriver
from tests.drivers.cached import cached

pytestmark = pytest.mark.anyio

BLUE = [
    {"role": "user", "content": "I have the blue card."},
    {"role": "assistant", "content": "It costs 5 pounds."},
]
RED = [{"role": "user", "content": "I have the red card."}, BLUE[1]]
PROMPT = "what does the card cost abroad please"
REWORDED = "what does the card cost abroad"


class FixedScorer:
    """Gives every pair the same chance."""

    identity = "fixed"

    def __init__(self, logit: float) -> None:
        self.logit = logit
        self.fusion = Fusion("fixed", 0.0, 1.0, 0.0)

    async def score(self, asked: str, stored: str) -> float | None:
        return self.logit

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...


async def test_the_same_words_after_other_messages_are_another_question() -> None:
    async with AsgiDriver(app := cached(Starlette())):
        assert app.service is not None
        asker = EngineAsker(app.service.engine)
        await asker.fill("one", PROMPT, BLUE)
        after_the_same = await asker.ask("one", REWORDED, BLUE)
        assert (after_the_same.hit, after_the_same.served_prompt) == (True, PROMPT)
        for earlier in (RED, [], [*BLUE, *BLUE]):
            asked = await asker.ask("one", PROMPT, earlier)
            assert (asked.hit, asked.reason) == (False, "new")
        assert not (await asker.ask("two", PROMPT, BLUE)).hit
        await asker.forget("one")
        assert not (await asker.ask("one", PROMPT, BLUE)).hit


async def test_what_is_filled_answers_the_same_conversation_over_http() -> None:
    async with AsgiDriver(app := cached(Starlette())) as driver:
        assert app.service is not None
        await EngineAsker(app.service.engine).fill("alice", PROMPT, BLUE)
        messages = [*BLUE, {"role": "user", "content": PROMPT}]
        answer = await driver.request(
            "POST",
            "/v1/chat/completions",
            json={"messages": messages, "model": "evaluation", "stream": False},
            headers={"authorization": "Bearer alice"},
        )
        assert answer.header("x-cache-tier") == "exact"


@pytest.mark.parametrize(("logit", "hit"), [(-3.0, False), (9.0, True)])
async def test_the_candidate_that_was_scored_is_named_hit_or_miss(logit: float, hit: bool) -> None:
    async with AsgiDriver(app := cached(Starlette())):
        assert app.service is not None
        app.service.engine.decider.scorer = FixedScorer(logit)
        asker = EngineAsker(app.service.engine)
        await asker.fill("one", PROMPT)
        asked = await asker.ask("one", REWORDED)
        assert (asked.hit, asked.candidate) == (hit, PROMPT)
        assert asked.probability == pytest.approx(1 / (1 + 2.718281828**-logit))
        far = await asker.ask("one", "when do the shops open")
        assert (far.hit, far.candidate, far.probability) == (False, None, None)


async def test_what_no_dialect_understands_takes_no_part() -> None:
    async with AsgiDriver(app := cached(Starlette())):
        assert app.service is not None
        asker = EngineAsker(app.service.engine)
        await asker.fill("one", PROMPT, [{"content": "nobody said this"}])
        asked = await asker.ask("one", PROMPT, [{"content": "nobody said this"}])
        assert (asked.hit, asked.reason) == (False, "malformed")
