"""The client of a scoring service trusts nothing that it receives."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from kindcache.cache.errors import ScorerError
from kindcache.cache.scorers.remote import LONGEST_ANSWER, LONGEST_CHARACTERS, RemoteScorer
from tests.conftest import FakeClock
from tests.drivers.scoring_server import ScoringServer, common, scoring_server

pytestmark = pytest.mark.anyio

PAIR = ("How do I cancel my order?", "How can I cancel an order?")


@pytest.fixture(scope="module")
def running() -> Iterator[ScoringServer]:
    with scoring_server() as server:
        yield server


@pytest.fixture
def server(running: ScoringServer) -> ScoringServer:
    running.requests.clear()
    running.keys.clear()
    running.reply = None
    running.gate.set()
    return running


@pytest.fixture
async def opened() -> AsyncIterator[list[RemoteScorer]]:
    made: list[RemoteScorer] = []
    yield made
    for scorer in made:
        await scorer.aclose()


async def client(opened: list[RemoteScorer], url: str, **options: Any) -> RemoteScorer:
    scorer = RemoteScorer(url, **{"deadline_s": 10.0, **options})
    opened.append(scorer)
    await scorer.open()
    return scorer


async def test_it_asks_for_one_pair_and_says_who_asks(
    server: ScoringServer, opened: list[RemoteScorer]
) -> None:
    scorer = await client(opened, server.url, api_key="sk-test")
    logit = await scorer.score(*PAIR)
    assert server.requests == [
        {"query": PAIR[0], "texts": [PAIR[1]], "raw_scores": False, "truncate": False}
    ]
    assert server.keys == ["Bearer sk-test"]
    assert logit is not None
    assert scorer.fusion.probability(0.9, logit) == pytest.approx(common(*PAIR))


async def test_log_odds_are_taken_as_they_come(
    server: ScoringServer, opened: list[RemoteScorer]
) -> None:
    scorer = await client(opened, server.url, log_odds=True)
    server.reply = JSONResponse([{"index": 0, "score": -7.25}])
    assert await scorer.score(*PAIR) == -7.25
    assert server.requests[0]["raw_scores"] is True
    assert server.keys == [None]


async def test_certainty_is_finite(server: ScoringServer, opened: list[RemoteScorer]) -> None:
    scorer = await client(opened, server.url)
    for score, expected in [(0, 0.0), (1, 1.0), (0.5, 0.5)]:
        server.reply = JSONResponse([{"index": 0, "score": score}])
        logit = await scorer.score(*PAIR)
        assert logit is not None
        assert math.isfinite(logit)
        assert scorer.fusion.probability(0.1, logit) == pytest.approx(expected, abs=1e-6)


def test_scores_of_another_kind_or_service_are_not_the_same_scorer() -> None:
    urls = ["http://a/rerank", "http://b/rerank"]
    made = [RemoteScorer(url, log_odds=odds) for url in urls for odds in (False, True)]
    assert len({scorer.identity for scorer in made}) == 4
    assert all(scorer.fusion.scorer == scorer.identity for scorer in made)


def test_the_identity_holds_no_login() -> None:
    assert "secret" not in RemoteScorer("http://user:secret@a:80/rerank").identity


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b"[]",
        b'{"score": 0.5}',
        b'[{"index": 1, "score": 0.5}]',
        b'[{"index": 0, "score": 0.5}, {"index": 1, "score": 0.5}]',
        b'[{"index": 0, "score": "0.5"}]',
        b'[{"index": 0, "score": null}]',
        b'[{"index": 0, "score": NaN}]',
        b'[{"index": 0, "score": 1e999}]',
        b'[{"index": 0, "score": 1.01}]',
        b'[{"index": 0, "score": -0.01}]',
        b'[{"index": 0, "score": 0.5}',
        b"\xff\xfe",
        b'[{"index": 0, "score": 0.5' + b"0" * LONGEST_ANSWER + b"}]",
    ],
)
async def test_an_answer_that_is_not_one_score_is_an_error(
    server: ScoringServer, opened: list[RemoteScorer], body: bytes
) -> None:
    scorer = await client(opened, server.url)
    server.reply = Response(body, media_type="application/json")
    with pytest.raises(ScorerError) as caught:
        await scorer.score("a secret question", "a secret answer")
    assert "secret" not in str(caught.value)
    server.reply = None
    assert await scorer.score(*PAIR) is not None


@pytest.mark.parametrize("status", [204, 302, 400, 401, 404, 429, 500, 503])
async def test_a_status_that_is_not_200_is_an_error(
    server: ScoringServer, opened: list[RemoteScorer], status: int
) -> None:
    scorer = await client(opened, server.url)
    server.reply = Response(status_code=status, headers={"Location": "/elsewhere"})
    with pytest.raises(ScorerError, match=str(status)):
        await scorer.score(*PAIR)


@pytest.mark.parametrize("status", [413, 422])
async def test_what_the_service_cannot_read_has_no_score_and_is_no_failure(
    server: ScoringServer, opened: list[RemoteScorer], status: int
) -> None:
    scorer = await client(opened, server.url)
    server.reply = Response(status_code=status)
    for _ in range(9):
        assert await scorer.score(*PAIR) is None
    server.reply = None
    assert await scorer.score(*PAIR) is not None


@pytest.mark.parametrize("text", ["x" * (LONGEST_CHARACTERS + 1), "\ud800"])
async def test_some_pairs_are_not_sent(
    server: ScoringServer, opened: list[RemoteScorer], text: str
) -> None:
    scorer = await client(opened, server.url)
    assert await scorer.score(text, PAIR[1]) is None
    assert await scorer.score(PAIR[0], text) is None
    assert server.requests == []


async def test_a_service_that_is_away_is_an_error(opened: list[RemoteScorer]) -> None:
    scorer = await client(opened, "http://127.0.0.1:9/rerank")
    with pytest.raises(ScorerError, match="ClientConnector"):
        await scorer.score(*PAIR)


async def test_a_failing_service_is_left_alone_for_a_moment(
    server: ScoringServer, opened: list[RemoteScorer]
) -> None:
    clock = FakeClock()
    scorer = await client(opened, server.url, clock=clock)
    server.reply = Response(status_code=500)
    for _ in range(8):
        with pytest.raises(ScorerError):
            await scorer.score(*PAIR)
    assert len(server.requests) == 5
    server.reply = None
    clock.advance(1.0)
    assert await scorer.score(*PAIR) is not None
    assert await scorer.score(*PAIR) is not None


async def test_a_caller_that_leaves_is_no_failure_of_the_service(
    server: ScoringServer, opened: list[RemoteScorer]
) -> None:
    scorer = await client(opened, server.url, queue=1)
    for _ in range(6):
        server.gate.clear()
        gone = asyncio.create_task(scorer.score(*PAIR))
        await asyncio.to_thread(server.entered.acquire)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        server.gate.set()
    assert await scorer.score(*PAIR) is not None


async def test_past_the_queue_pairs_are_refused(
    server: ScoringServer, opened: list[RemoteScorer]
) -> None:
    scorer = await client(opened, server.url, queue=1)
    server.gate.clear()
    first = asyncio.create_task(scorer.score(*PAIR))
    await asyncio.sleep(0)
    with pytest.raises(ScorerError, match="too many"):
        await scorer.score(*PAIR)
    server.gate.set()
    assert await first is not None
