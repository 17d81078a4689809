"""Checks a share of the hits by meaning: the model is asked as well, after the caller has left.

The check sends what the caller sent, with his credential, marked as ours. A hit that turns out
wrong is not served again, and the fresh answer becomes the prompt's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ...cache.background import Background
from ...cache.engine import Engine
from ...cache.errors import EmbedderError, OwnCallError
from ...cache.events import Failed, NotCompared, Trace
from ...cache.learning.blocked import pair
from ...cache.learning.comparing import Comparison, compare, sole_text
from ...cache.outcome import Found, Lead
from ...cache.ports import AnswerJudge, EntryKey
from ...cache.removing.in_force import Known
from ...cache.settling import Received, Ruling, carry_out, note_standing, rule
from ...policies.comparable import comparable
from ...policies.observation import Source
from ...policies.verdict import Miss, Reason, Tier, certainty
from ..asgi import Scope
from ..dialects.dialect import Dialect
from .own_calls import OwnCalls

PURPOSE = "check"
MOST_BYTES = 256 << 10  # of a request: what waits for its turn is kept in memory


@dataclass(frozen=True, slots=True)
class Checks:
    """Draws ``share`` of the hits by ``chance`` (0..1); a check takes ``calls_each`` calls."""

    engine: Engine
    calls: OwnCalls
    queue: Background
    share: float
    chance: Callable[[], float]
    calls_each: int

    def draws(self, found: Found) -> bool:
        """Say whether a hit is to be checked."""
        hit = found.hit  # a stale answer may differ for its age alone
        return hit.tier is Tier.SEMANTIC and hit.ttl_s > 0.0 and self.chance() < self.share

    def after_hit(
        self, found: Found, dialect: Dialect, scope: Scope, body: bytes, judge: AnswerJudge
    ) -> None:
        """Queue a check of a hit that was served and drawn, if it may be checked."""
        if not comparable(found.ask.call, self.engine.policy[found.hit.category]):
            return
        stored = sole_text(found.payload.answer)
        if stored is None or len(body) > MOST_BYTES:
            self._not("unclear", found)
        elif self.calls.left < self.calls_each:
            self._not("unpaid", found)
        elif not self.queue.offer(partial(self._check, found, dialect, scope, body, stored, judge)):
            self._not("dropped", found)

    async def _check(
        self,
        found: Found,
        dialect: Dialect,
        scope: Scope,
        body: bytes,
        stored: str,
        judge: AnswerJudge,
    ) -> None:
        if self._erased(found):
            self._not("gone", found)
            return
        if self.calls.left < self.calls_each:
            self._not("unpaid", found)
            return
        known = self.engine.invalidated.known  # when the question is asked
        try:
            received = await self.calls.ask(dialect, scope, dialect.unstreamed(body), PURPOSE)
        except OwnCallError as exc:
            self._failed(found, exc)
            return
        lead = await self._as_miss(found, known)
        ruling = rule(self.engine, lead, received)
        fresh = None if ruling.payload is None else sole_text(ruling.payload.answer)
        if fresh is None:
            self._unanswered(found, received)
            return
        hit = found.hit
        compared = Comparison(
            hit.category, certainty(hit), Source.CHECK, found.ask.call.prompt, stored, fresh
        )
        if await compare(self.engine, judge, compared) is False:
            self._put_right(found, lead, ruling)
        else:
            note_standing(self.engine, found.ask.principal, received.status)

    def _put_right(self, found: Found, lead: Lead, ruling: Ruling) -> None:
        """Block the pair, and store the fresh answer under the prompt's own key."""
        if self._erased(found):
            return
        key, both = EntryKey(found.hit.key), pair(found.ask, found.payload.prompt)
        memory, blocked = self.engine.memory, self.engine.blocked
        entry = memory.table.get(key)
        added = blocked.add(both, 0.0 if entry is None else entry.expires_s)
        if not added and not blocked.knows(both):
            memory.remove([key], "check")  # no room to remember the pair
        if self.engine.learnt:  # else nobody knows yet whether its category may be stored
            carry_out(self.engine, lead, ruling)

    def _erased(self, found: Found) -> bool:
        """Say whether the hit was, and with it the question that would be stored now."""
        key = EntryKey(found.hit.key)
        return self.engine.invalidated.may_cover(key, found.payload, found.ask)

    async def _as_miss(self, found: Found, known: Known) -> Lead:
        """Return what the hit would have been, had nothing been found."""
        vector = None
        try:
            vector = await self.engine.embedder.embed(found.ask.call.prompt)
        except EmbedderError as exc:  # the prompt's own entry is then found to the letter only
            self.engine.observer.notify(Failed("embed", type(exc).__name__))
        miss = Miss(Reason.NEW, found.hit.category)
        return Lead(found.ask, miss, Trace(), vector, True, None, known)

    def _unanswered(self, found: Found, received: Received) -> None:
        note_standing(self.engine, found.ask.principal, received.status)
        self._not("failed" if received.status >= 400 else "unclear", found)

    def _failed(self, found: Found, exc: OwnCallError) -> None:
        self.engine.observer.notify(Failed("check", type(exc.__cause__ or exc).__name__))
        self._not("failed", found)

    def _not(self, why: str, found: Found) -> None:
        self.engine.observer.notify(NotCompared(found.hit.category, Source.CHECK, why))
