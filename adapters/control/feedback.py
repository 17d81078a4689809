"""``POST /_cache/feedback``: a verdict on a hit, from who got it. No admin token is needed."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from ...cache.engine import Engine
from ...cache.learning.fact import DAY_S
from ...cache.learning.feedback import Effect, Feedback
from ..asgi import Headers, Receive, Scope, Send, respond
from ..serving.hit_token import LIFE_S, BadToken, HitTokens
from ..serving.request_body import read_body

MAX_BODY_BYTES = 4 << 10


class Verdict(msgspec.Struct, frozen=True):
    """The body of a request."""

    hit: str
    verdict: Literal["right", "wrong"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request had no effect."""

    status: int
    code: str
    error: str
    headers: Headers = ()


_EFFECTS = {
    Effect.BLOCKED: "blocked",
    Effect.REMOVED: "removed",
    Effect.NOTED: "noted",
    Effect.UNCHANGED: "unchanged",
}
_SHAPE = Refusal(
    400, "shape", 'the body must be {"hit": "TOKEN OF THE HIT", "verdict": "right" or "wrong"}'
)
_TOKEN = Refusal(400, "token", "hit: not a token of this cache")
_NOT_YOURS = Refusal(403, "not_yours", "this hit went to another caller")
_METHOD = Refusal(405, "method", "POST only", [(b"allow", b"POST")])
_CONTRADICTED = Refusal(409, "contradicted", "this hit was said to be wrong, which is final")
_EXPIRED = Refusal(410, "expired", f"verdicts are taken for {LIFE_S / DAY_S:g} days")
_TOO_LARGE = Refusal(413, "too_large", f"the body may have {MAX_BODY_BYTES} bytes")

_decode = msgspec.json.Decoder(Verdict).decode


class FeedbackEndpoint:
    """Answers requests for ``path``."""

    path = "/_cache/feedback"

    def __init__(self, engine: Engine, tokens: HitTokens) -> None:
        self._engine = engine
        self._tokens = tokens
        self._feedback = Feedback(engine)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer: Effect | Refusal = _METHOD
        if scope["method"] == "POST":
            body = await read_body(receive, MAX_BODY_BYTES)
            answer = self._take(scope["headers"], body.data) if body.whole else _TOO_LARGE
        if isinstance(answer, Effect):
            await _reply(send, 200, {"effect": _EFFECTS[answer]})
        else:
            told = {"error": answer.error, "code": answer.code}
            await _reply(send, answer.status, told, answer.headers)

    def _take(self, headers: Headers, body: bytes) -> Effect | Refusal:
        try:
            given = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _SHAPE
        try:
            hit = self._tokens.read(given.hit)
        except BadToken:
            return _TOKEN
        # Whose it is comes first: to others a token says nothing, not even its age.
        principal = self._engine.identity.scoping.principal(headers)
        if principal is None or not hmac.compare_digest(principal, hit.principal):
            return _NOT_YOURS
        now_s = self._engine.clock()
        if now_s - hit.issued_s > LIFE_S:
            return _EXPIRED
        match self._feedback.take(hit, right=given.verdict == "right"):
            case Effect.CONTRADICTED:
                return _CONTRADICTED
            case Effect.TOO_MANY:
                return _too_many(now_s)
            case effect:
                return effect


def _too_many(now_s: float) -> Refusal:
    wait = str(int(DAY_S - now_s % DAY_S) + 1).encode()
    error = "no more verdicts of this caller are taken today"
    return Refusal(429, "too_many", error, [(b"retry-after", wait)])


async def _reply(send: Send, status: int, value: Mapping[str, str], headers: Headers = ()) -> None:
    extra = [(b"cache-control", b"no-store"), *headers]
    await respond(send, status, json.dumps(value).encode(), extra)
