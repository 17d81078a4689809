"""Stored answers: fetched from memory or store, and looked at once more before they are given."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from ..policies.policy import Policy
from ..policies.selecting import Facts
from ..policies.verdict import Hit, Miss, Reason, Tier
from .asking.fingerprint import Ask
from .entries.entry import Payload, decode_payload
from .entries.fetches import Fetch
from .entries.memory import Memory
from .errors import CorruptRecord, StoreError
from .events import Failed, Observer, Trace
from .learning.blocked import Blocked
from .outcome import Found
from .ports import Clock, EntryKey, Store
from .refreshes import Refreshes
from .removing.entry_facts import of_payload
from .removing.invalidated import Invalidated


@dataclass(slots=True)
class StoredAnswers:
    """Gives out answers. What a verdict may not know yet is asked here, at the last moment.

    That is: removed, replaced, reported as wrong, or of a credential that must be shown anew.
    What was invalidated or erased is in no memory any more, and is told when it is fetched.
    ``refreshes`` None: nothing stale is given, but while the model fails.
    """

    memory: Memory
    store: Store
    blocked: Blocked
    invalidated: Invalidated
    observer: Observer
    clock: Clock
    refreshes: Refreshes | None = None

    async def exact(self, ask: Ask, trace: Trace, policy: Policy) -> Found | Miss:
        """Return the answer to the very words of ``ask``, or why there is none."""
        payload = self.memory.hot.get(ask.key) or await self._payload(ask.key, ask, trace)
        if payload is Reason.PAYLOAD_MISSING:
            leaving = self.memory.writer.is_deleting(ask.key) and self.blocked.watches(ask.key)
            return Miss(Reason.BLOCKED if leaving else Reason.NEW, "")
        if isinstance(payload, Reason):
            return Miss(payload, "")
        if self.blocked.withdrawn(ask.key, payload.created_s):
            return Miss(Reason.BLOCKED, payload.category)
        if not policy.serves_exact(ask.call, payload.category):
            return Miss(Reason.NEW, payload.category)
        verdict = policy.judge_exact(
            payload.category, ask.call, ask.key, payload.created_s, payload.ttl_s, self.clock()
        )
        return self._give(ask, verdict, payload, trace, policy)

    async def of(self, ask: Ask, verdict: Hit, trace: Trace, policy: Policy) -> Found | Miss:
        """Return the answer that ``verdict`` names, or why it may not be given any more."""
        category = verdict.category
        key = EntryKey(verdict.key)
        if not self.memory.table.admission(key):  # purged while the scorer was thinking
            return Miss(Reason.PAYLOAD_MISSING, category, verdict.similarity, verdict.threshold)
        payload = self.memory.hot.get(key) or await self._payload(key, ask, trace)
        if isinstance(payload, Reason):
            return Miss(payload, category, verdict.similarity, verdict.threshold)
        if self.blocked.stops(ask, key, payload.prompt, payload.created_s):  # by now
            return Miss(Reason.BLOCKED, category, verdict.similarity, verdict.threshold)
        return self._give(ask, verdict, payload, trace, policy)

    def _give(
        self, ask: Ask, verdict: Hit | Miss, payload: Payload, trace: Trace, policy: Policy
    ) -> Found | Miss:
        if isinstance(verdict, Miss):
            return verdict
        if verdict.reason is Reason.STALE and not (policy.failing or self._refreshes(ask, verdict)):
            return Miss(Reason.EXPIRED, verdict.category, verdict.similarity)
        if ask.call.wants_usage and payload.answer.usage is None:
            return Miss(Reason.USAGE_UNKNOWN, verdict.category, verdict.similarity)
        if not self.memory.standing.good(ask.principal, payload.created_s, self.clock()):
            return Miss(Reason.REVALIDATE, verdict.category, verdict.similarity)
        by_meaning = verdict.tier is Tier.SEMANTIC
        self.memory.table.touch(EntryKey(verdict.key), by_meaning=by_meaning)
        return Found(verdict, payload, trace, ask)

    def _refreshes(self, ask: Ask, verdict: Hit) -> bool:
        """Say whether a stale answer is, or will be, refreshed for who asks."""
        asked = ask.call.directives
        if self.refreshes is None or asked.no_store or asked.no_refresh:
            return False
        return self.refreshes.allow(EntryKey(verdict.key))

    async def _payload(self, key: EntryKey, ask: Ask, trace: Trace) -> Payload | Reason:
        """Fetch an answer that is not in memory, or say why there is none."""
        if self.memory.writer.is_deleting(key):
            return Reason.PAYLOAD_MISSING
        with self.memory.fetches.of(key) as fetch:
            return await self._fetched(key, ask, trace, fetch)

    async def _fetched(
        self, key: EntryKey, ask: Ask, trace: Trace, fetch: Fetch
    ) -> Payload | Reason:
        known = self.memory.table.admission(key)
        started = perf_counter()
        try:
            data = await self.store.get(key)
            # What was written or purged meanwhile makes the answer one of the past.
            if data is None:
                if known and self._is_current(key, known, fetch):
                    self.memory.remove([key], "missing")
                return Reason.PAYLOAD_MISSING
            return await self._read(key, ask, data, known, fetch)
        except StoreError as exc:
            self.observer.notify(Failed("store.get", type(exc).__name__))
            return Reason.STORE
        finally:
            trace.store_s += perf_counter() - started

    async def _read(
        self, key: EntryKey, ask: Ask, data: bytes, known: int, fetch: Fetch
    ) -> Payload | Reason:
        """Return what ``data`` is, unless it was invalidated or is not there any more."""
        try:
            payload = decode_payload(data)
        except CorruptRecord as exc:
            self.observer.notify(Failed("store.decode", type(exc).__name__))
            if self._is_current(key, known, fetch):
                self.memory.remove([key], "corrupt")
            return Reason.PAYLOAD_CORRUPT
        if self.invalidated.in_force:
            facts = of_payload(key, payload, ask)
            covered = await self.invalidated.covers(facts, payload.after)
            if covered is None:
                return Reason.EMBEDDER
            if covered:
                self._sweep(facts, payload, current=self._is_current(key, known, fetch))
                return Reason.INVALIDATED
        if self._is_current(key, known, fetch):
            self.memory.hot.put(key, payload, len(data))
            return payload
        removed = fetch.removed or (known and not self.memory.table.admission(key))
        removed = removed or self.memory.writer.is_deleting(key)
        return self.memory.hot.get(key) or (Reason.PAYLOAD_MISSING if removed else payload)

    def _is_current(self, key: EntryKey, admission: int, fetch: Fetch) -> bool:
        """Say whether nothing was written or removed since ``admission`` was the number."""
        unchanged = self.memory.table.admission(key) == admission and not fetch.overtaken
        return unchanged and not self.memory.writer.is_deleting(key)

    def _sweep(self, facts: Facts, payload: Payload, *, current: bool) -> None:
        """Remove what is covered; of what was erased more must go than the entry."""
        if self.invalidated.in_force.erases(facts, payload.after):
            self.invalidated.due = True
        elif current:
            self.invalidated.tell([facts])
            self.memory.remove([EntryKey(facts.key)], "invalidated")
