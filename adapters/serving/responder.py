"""One request through the cache: read, look up, and answer from wherever the answer is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

from ...cache.asking.identity import Request
from ...cache.asking.scope import SHARED
from ...cache.engine import Engine
from ...cache.entries.entry import usage_of
from ...cache.events import Served
from ...cache.leases import Turn
from ...cache.outcome import Aside, Follow, Found, Lead
from ...cache.ports import EntryKey
from ...cache.settling import Ruling, release
from ...policies.verdict import Bypass, Reason
from ..asgi import App, Message, Receive, Scope, Send, respond
from ..background.comparisons import Comparisons
from ..background.refreshing import MOST_BYTES, Refreshing
from ..dialects.dialect import Dialect, Parsed, Unparsable
from .cache_control import tighten
from .following import Followed, follow
from .hit_token import HEADER as HIT_HEADER
from .hit_token import HitTokens
from .leading import Leading
from .replay import kept_rendering, replay
from .request_body import again, instead, read_body
from .standing_in import StandIns
from .status_headers import on_bypass, on_failure, on_hit, on_load
from .taking_turns import turn_of
from .trust import Trust
from .watching import Watch


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers requests of the dialects it knows; what it does not know passes through."""

    app: App
    watch: Watch  # over ``app``
    engine: Engine
    dialects: Sequence[Dialect]
    trust: Trust
    max_request_bytes: int
    max_answer_bytes: int
    details: bool
    tokens: HitTokens | None  # None: hits carry none
    comparisons: Comparisons | None = None  # None: fresh answers are compared with none
    refreshing: Refreshing | None = None  # None: nothing stale is served, so nothing refreshed
    stand_ins: StandIns | None = None  # None: what the model says in error reaches the caller
    clock: Callable[[], float] = time.perf_counter  # times the model's answers

    def dialect_for(self, scope: Scope) -> Dialect | None:
        """Return the dialect that the request speaks, None when it is none of ours."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        path: str = scope["path"]
        for dialect in self.dialects:
            if path.endswith(dialect.paths):
                return dialect
        return None

    async def respond(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await read_body(receive, self.max_request_bytes)
        if not body.whole:
            await self._aside(Reason.TOO_LARGE, scope, again(body, receive), send)
            return
        try:
            parsed = dialect.parse(scope["path"], readable_body(scope, body.data))
        except Unparsable:
            await self._aside(Reason.MALFORMED, scope, again(body, receive), send)
            return
        request = self._request(scope, parsed, len(body.data))
        data = body.data if parsed.forward is None else parsed.forward
        while not await self._answer(request, dialect, scope, receive, send, data):
            pass  # a call that was followed had no answer to share

    async def _answer(
        self,
        request: Request,
        dialect: Dialect,
        scope: Scope,
        receive: Receive,
        send: Send,
        data: bytes,
    ) -> bool:
        outcome, trace = await self.engine.find(request)
        if not isinstance(outcome, Found):
            self.engine.report(outcome, trace)
        match outcome:
            case Found():
                if self.refreshing is not None:
                    self.refreshing.after_hit(outcome, request, dialect, scope, data)
                try:
                    await self._hit(outcome, request, dialect, send)
                finally:  # he has his answer
                    self.engine.report(outcome, trace)
                if self.comparisons is not None:
                    self.comparisons.after_hit(outcome, dialect, scope, data)
            case _ if request.call.directives.only_if_cached:
                await self._only_if_cached(outcome, dialect, send)
            case Lead():
                turn = await turn_of(self.engine, outcome, receive)
                if turn is not Turn.LEAD:
                    return turn is None
                await self._lead(outcome, request, dialect, scope, receive, send, data)
            case Follow():
                ended = await follow(outcome, dialect, receive, send, details=self.details)
                return ended is not Followed.FREE
            case Aside(bypass=bypass):
                app = self.watch.over(request.call)
                body = instead(data, receive)
                await self._forward(app, bypass, resized(scope, data), body, send)
            case _:
                assert_never(outcome)
        return True

    async def _lead(
        self,
        lead: Lead,
        request: Request,
        dialect: Dialect,
        scope: Scope,
        receive: Receive,
        send: Send,
        data: bytes,
    ) -> None:
        leading = Leading(
            self.engine,
            dialect,
            lead,
            limit_bytes=self.max_answer_bytes,
            details=self.details,
            settled=self._settled(dialect, scope),
            clock=self.clock,
        )
        app = self.watch.over(request.call)
        if self.stand_ins is None or not self.engine.policy.stands_in:
            await leading.run(app, scope, receive, send, data)
            return

        async def ask(send: Send) -> None:
            await leading.run(app, scope, receive, send, data)

        async def answer(found: Found, status: int | None) -> None:
            await self._hit(found, request, dialect, send, how=on_failure(status))

        await self.stand_ins.lead(lead, request, send, ask, answer)

    def _request(self, scope: Scope, parsed: Parsed, size_bytes: int) -> Request:
        call = parsed.call
        headers = scope["headers"]
        directives = tighten(call.directives, headers)
        if size_bytes > MOST_BYTES:
            directives = replace(directives, no_refresh=True)
        if directives is not call.directives:
            call = replace(call, directives=directives)
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        target = path + b"?" + scope.get("query_string", b"")
        return Request(call, target, headers, self.trust.origin(scope))

    def _settled(self, dialect: Dialect, scope: Scope) -> Callable[[Lead, Ruling], None] | None:
        """Return what is to be done once a miss is settled."""
        if self.comparisons is None:
            return None
        return partial(self.comparisons.after_miss, dialect=dialect, scope=scope)

    async def _hit(
        self, found: Found, request: Request, dialect: Dialect, send: Send, how: bytes = b"hit"
    ) -> None:
        authorised = found.ask.principal != SHARED
        headers = on_hit(found, authorised=authorised, details=self.details, how=how)
        if self.details:
            headers += on_load(self.engine.policy.load(request.call.model))
        if self.tokens is not None:
            headers.append((HIT_HEADER, self.tokens.make(found, self.engine.clock())))
        hot, key = self.engine.memory.hot, EntryKey(found.hit.key)
        rendered = kept_rendering(hot, key, dialect, request.call, found.payload)
        try:
            await replay(send, dialect, rendered, headers, stream=request.call.stream)
        finally:
            self.engine.observer.notify(_served(found, request.call.model))

    async def _only_if_cached(
        self, outcome: Lead | Follow | Aside, dialect: Dialect, send: Send
    ) -> None:
        if isinstance(outcome, Lead):
            release(self.engine, outcome)
        elif isinstance(outcome, Follow):
            outcome.flight.leave()
        error = dialect.error(
            "No stored answer, and the request allows no other (only-if-cached).",
            kind="cache_error",
            code="only_if_cached",
        )
        status = [(b"cache-status", b'kindcache; detail="only-if-cached"'), (b"x-cache", b"MISS")]
        await respond(send, 504, error, status)

    async def _aside(self, reason: Reason, scope: Scope, receive: Receive, send: Send) -> None:
        await self._forward(self.app, Bypass(reason), scope, receive, send)

    async def _forward(
        self, app: App, bypass: Bypass, scope: Scope, receive: Receive, send: Send
    ) -> None:
        extra = on_bypass(bypass, details=self.details)

        async def label(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        await app(scope, receive, label)


def _served(found: Found, model: str) -> Served:
    read, written, tokens = usage_of(found.payload.answer)
    return Served(found.hit.category, found.payload.upstream_s, tokens, model, read, written)


def readable_body(scope: Scope, data: bytes) -> bytes:
    """Return ``data`` if it can be read as it is. Raises ``Unparsable``."""
    for name, _ in scope["headers"]:
        if name.lower() == b"content-encoding":
            raise Unparsable
    return data


def resized(scope: Scope, body: bytes) -> Scope:
    """Return ``scope`` with the length of ``body``, which may have lost its control fields."""
    headers = [
        (key, str(len(body)).encode() if key.lower() == b"content-length" else value)
        for key, value in scope["headers"]
    ]
    return {**scope, "headers": headers}
