"""Refreshes answers that were served stale: once each, in the background, as their caller.

The refresh sends what the caller sent, with his credential, marked as ours. The fresh answer is
judged and stored as after any miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ...cache.asking.identity import Request
from ...cache.background import Background
from ...cache.engine import Engine
from ...cache.errors import OwnCallError
from ...cache.events import Failed
from ...cache.outcome import Found
from ...cache.ports import EntryKey
from ...cache.refreshes import Refreshes
from ...cache.settling import carry_out, rule
from ...cache.stale import as_miss
from ...policies.verdict import Admit, Reason
from ..asgi import Scope
from ..dialects.dialect import Dialect
from .own_calls import OwnCalls

PURPOSE = "refresh"
MOST_BYTES = 256 << 10  # of a request: what waits for its turn is kept in memory


@dataclass(frozen=True, slots=True)
class Refreshing:
    """Never raises, never waits: the caller gets the stale answer at once."""

    engine: Engine
    calls: OwnCalls
    queue: Background
    refreshes: Refreshes

    def after_hit(
        self, found: Found, request: Request, dialect: Dialect, scope: Scope, body: bytes
    ) -> None:
        """Refresh a hit that is stale, unless that is under way."""
        key = EntryKey(found.hit.key)
        if found.hit.reason is not Reason.STALE or not self.refreshes.begin(key):
            return
        job = partial(self._refresh, found, request, dialect, scope, body)
        if not self.queue.offer(job):
            self.refreshes.end(key, refreshed=False)
            self.engine.observer.notify(Failed("refresh", "Backlog"))

    async def _refresh(
        self, found: Found, request: Request, dialect: Dialect, scope: Scope, body: bytes
    ) -> None:
        refreshed = False
        try:
            refreshed = await self._ask(found, request, dialect, scope, body)
        except OwnCallError as exc:
            self.engine.observer.notify(Failed("refresh", type(exc.__cause__ or exc).__name__))
        finally:
            self.refreshes.end(EntryKey(found.hit.key), refreshed=refreshed)

    async def _ask(
        self, found: Found, request: Request, dialect: Dialect, scope: Scope, body: bytes
    ) -> bool:
        lead = await as_miss(self.engine, request, found)
        if lead is None:  # the embedder is away: its entry could be found to the letter only
            return False
        received = await self.calls.ask(dialect, scope, dialect.unstreamed(body), PURPOSE)
        ruling = rule(self.engine, lead, received)
        return isinstance(carry_out(self.engine, lead, ruling), Admit)
