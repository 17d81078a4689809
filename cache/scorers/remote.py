"""Asks a service over HTTP about pairs of prompts.

One request a pair, in the shape of ``POST /rerank`` of Hugging Face's text-embeddings-inference:
``{"query": asked, "texts": [stored], "raw_scores": bool, "truncate": false}``, answered by
``[{"index": 0, "score": number}]``. ``docs/judge.md`` describes it for who writes such a service.
"""

from __future__ import annotations

import asyncio
import math
import time
from urllib.parse import urlsplit

import aiohttp
import msgspec

from ...policies.fusion import Fusion
from ..breaker import Breaker
from ..errors import ScorerError
from ..ports import Clock

LONGEST_CHARACTERS = 32_768  # of both prompts; what no reranker reads need not travel
LONGEST_ANSWER = 4_096  # bytes; a score is 30
UNREADABLE = frozenset({413, 422})  # too long, or not what its tokenizer takes: no fault of its
NEAREST_TO_SURE = 1e-9  # a probability of 1 has no finite odds


class _Score(msgspec.Struct):
    index: int
    score: float


_decoder = msgspec.json.Decoder(list[_Score])


class RemoteScorer:
    """The ``PairScorer`` over the service at ``url``, which is asked as it is given.

    ``log_odds`` says that scores are such; else they are probabilities, 0 to 1. At most
    ``connections`` requests at a time, the deadline from the call on, waiting included. After five
    failures in a row the service is left alone for a moment. Everything that goes wrong is a
    ``ScorerError``; status 413 or 422 says that the pair cannot be read, and is no failure.
    """

    def __init__(
        self,
        url: str,
        *,
        log_odds: bool = False,
        api_key: str = "",
        deadline_s: float = 0.5,
        queue: int = 64,
        connections: int = 8,
        clock: Clock = time.monotonic,
    ) -> None:
        scale = "log-odds" if log_odds else "probability"
        self.identity = f"remote/{_without_login(url)}/{scale}"
        self.fusion = Fusion(self.identity, intercept=0.0, logit=1.0, similarity=0.0)
        self._url = url
        self._log_odds = log_odds
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._deadline_s = deadline_s
        self._queue = queue
        self._connections = connections
        self._breaker = Breaker(clock)
        self._under_way = 0
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the connection pool. The service is not asked: it may be down and come back."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections), headers=self._headers
            )

    async def aclose(self) -> None:
        """End the requests under way; who still waits gets ``ScorerError``."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def score(self, asked: str, stored: str) -> float | None:
        """Return the log-odds, None for a pair that the service cannot read."""
        if self._session is None:
            raise ScorerError("the scorer is not open")
        body = self._body(asked, stored)
        if body is None:
            return None
        if self._under_way >= self._queue:
            raise ScorerError("too many pairs are waiting")
        ticket = self._breaker.enter()
        if ticket is None:
            raise ScorerError("the scoring service is not asked, it failed several times in a row")
        self._under_way += 1
        try:
            logit = await self._asked(self._session, body)
        except ScorerError:
            self._breaker.failed(ticket)
            raise
        except asyncio.CancelledError:
            self._breaker.abandoned(ticket)
            raise
        finally:
            self._under_way -= 1
        self._breaker.succeeded(ticket)
        return logit

    def _body(self, asked: str, stored: str) -> bytes | None:
        if len(asked) + len(stored) > LONGEST_CHARACTERS:
            return None
        body = {
            "query": asked,
            "texts": [stored],
            "raw_scores": self._log_odds,
            "truncate": False,  # what it would cut off it cannot judge
        }
        try:
            return msgspec.json.encode(body)
        except UnicodeEncodeError:  # a lone surrogate
            return None

    async def _asked(self, session: aiohttp.ClientSession, body: bytes) -> float | None:
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                session.post(self._url, data=body, allow_redirects=False) as response,
            ):
                if response.status in UNREADABLE:
                    return None
                if response.status != 200:
                    raise ScorerError(f"the scoring service answered {response.status}")
                data = await response.content.read(LONGEST_ANSWER + 1)
                while len(data) <= LONGEST_ANSWER and not response.content.at_eof():
                    data += await response.content.read(LONGEST_ANSWER + 1)
        except TimeoutError as exc:
            raise ScorerError(f"no score within {self._deadline_s:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise ScorerError(f"the scoring service failed ({type(exc).__name__})") from exc
        return self._logit(data)

    def _logit(self, data: bytes) -> float:
        try:
            scores = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise ScorerError("the scoring service sent something else than a score") from exc
        if len(scores) != 1 or scores[0].index != 0:
            raise ScorerError(f"the scoring service sent {len(scores)} scores for one pair")
        score = scores[0].score
        if not math.isfinite(score):
            raise ScorerError("the scoring service sent a score that is not finite")
        if self._log_odds:
            return score
        if not 0.0 <= score <= 1.0:
            raise ScorerError("the scoring service sent a probability outside 0 to 1")
        bounded = min(max(score, NEAREST_TO_SURE), 1.0 - NEAREST_TO_SURE)
        return math.log(bounded / (1.0 - bounded))


def _without_login(url: str) -> str:
    """Return ``url`` as it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
