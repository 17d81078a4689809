"""The request path. ``lookup`` is all of it, in order; ``settle`` is the way back.

Decisions are made by ``policies``; this module fetches the facts they need and acts on what they
say. State changes are synchronous; the I/O they call for is queued.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

from ..policies.eligibility import Access
from ..policies.policy import Policy
from ..policies.verdict import Bypass, Hit, Miss, Reason
from .deciding import Decider
from .entry import Payload, decode_payload
from .errors import CorruptRecord, EmbedderError, StoreError
from .events import Failed, LookedUp, Observer, Trace
from .fail_open import fail_open
from .fingerprint import Ask
from .identity import Identity, Request
from .learning.blocked import Blocked
from .learning.evidence import Evidence
from .memory import Memory
from .outcome import Aside, Follow, Found, Lead, Outcome
from .ports import Clock, Embedder, EntryKey, Store, Vector
from .screening import Screening
from .singleflight import Flights

CANDIDATES = 5  # an expired or vetoed neighbour must not hide one that answers


@dataclass(slots=True)
class Engine:
    """Looks calls up. Ready once ``epoch`` is known; before that it stands aside.

    Until the examples are ``learnt``, answers to prompts that no rule decides are not stored.
    """

    policy: Policy
    identity: Identity
    memory: Memory
    store: Store
    embedder: Embedder
    decider: Decider
    flights: Flights
    evidence: Evidence
    blocked: Blocked
    screening: Screening
    observer: Observer
    clock: Clock
    epoch: bytes | None = None
    learnt: bool = False

    async def lookup(self, request: Request) -> Outcome:
        """Find an answer, or say who asks the model. Never raises but for cancellation."""
        trace = Trace()
        started = perf_counter()
        outcome: Outcome = Aside(Bypass(Reason.INTERNAL))
        with fail_open(self.observer, "lookup"):
            outcome = await self._lookup(request, trace)
        trace.total_s = perf_counter() - started
        self._report(outcome, trace)
        return outcome

    async def _lookup(self, request: Request, trace: Trace) -> Outcome:
        call = request.call
        if self.epoch is None:
            return Aside(Bypass(Reason.STARTING))
        # 1 may it use the cache at all, 2 does a rule name its category, and may that be cached?
        access = self.policy.access(call)
        category = self.policy.by_rule(call, request.origin)
        if category is not None and isinstance(access, Access):
            access = self.policy.narrow(access, call, category)
        if isinstance(access, Bypass):
            return Aside(access)
        # 3 who asks what
        ask = self.identity.identify(request, self.epoch)
        if ask is None:
            return Aside(Bypass(Reason.ANONYMOUS))
        # 4 the same question to the letter
        exact = await self._exact(ask, trace) if access.read else None
        if isinstance(exact, Found):
            return exact
        # 5 its vector, 6 its category by meaning
        vector, doubt = await self._embed(ask, access, category, trace)
        if category is None:
            category = self.policy.by_meaning(vector)
            narrowed = self.policy.narrow(access, call, category)
            if isinstance(narrowed, Bypass):
                return Aside(narrowed)
            access = narrowed
            if doubt is Reason.EMBEDDER or not self.learnt:
                # It may be of a kind that must not be stored.
                access = Access(access.read, write=False, exact_because=Reason.EMBEDDER)
        shared = access.read and self.policy.shares_in_flight(call, category)
        # 7 is someone asking it right now?
        flight = self.flights.join(ask.key) if shared else None
        if flight is not None:
            return Follow(ask, Miss(Reason.NEW, category), trace, flight)
        # 8-12 the same question in other words
        if access.semantic and vector is not None:
            ask = self._with_history(request, ask, category)
        found = await self._semantic(ask, access, category, vector, doubt, trace)
        if isinstance(found, Found):
            return found
        miss = exact if exact is not None and exact.reason is not Reason.NEW else found
        return self._lead(
            ask,
            replace(found, reason=miss.reason),
            trace,
            vector if access.semantic else None,
            access,
            shared=shared,
        )

    async def _exact(self, ask: Ask, trace: Trace) -> Found | Miss:
        payload = await self._payload(ask.key, trace)
        if payload is Reason.PAYLOAD_MISSING:
            leaving = self.memory.writer.is_deleting(ask.key) and self.blocked.watches(ask.key)
            return Miss(Reason.BLOCKED if leaving else Reason.NEW, "")
        if isinstance(payload, Reason):
            return Miss(payload, "")
        if self.blocked.withdrawn(ask.key, payload.created_s):
            return Miss(Reason.BLOCKED, payload.category)
        if not self.policy.serves_exact(ask.call, payload.category):
            return Miss(Reason.NEW, payload.category)
        verdict = self.policy.judge_exact(
            payload.category, ask.call, ask.key, payload.created_s, payload.ttl_s, self.clock()
        )
        return self._serve(ask, verdict, payload, trace)

    async def _embed(
        self, ask: Ask, access: Access, category: str | None, trace: Trace
    ) -> tuple[Vector | None, Reason | None]:
        """Return the vector, or why there is none."""
        if not ask.call.prompt or (category is not None and not access.semantic):
            return None, access.exact_because or Reason.EXACT_ONLY
        started = perf_counter()
        try:
            vector = await self.embedder.embed(ask.call.prompt)
        except EmbedderError as exc:
            self.observer.notify(Failed("embed", type(exc).__name__))
            return None, Reason.EMBEDDER
        finally:
            trace.embed_s = perf_counter() - started
        return vector, access.exact_because if vector is not None else Reason.OVER_WINDOW

    async def _semantic(
        self,
        ask: Ask,
        access: Access,
        category: str,
        vector: Vector | None,
        doubt: Reason | None,
        trace: Trace,
    ) -> Found | Miss:
        if not access.read:
            return Miss(Reason.CLIENT_NO_CACHE, category)
        if vector is None or not access.semantic:
            return Miss(access.exact_because or doubt or Reason.EXACT_ONLY, category)
        started = perf_counter()
        reach = self.policy.reach(category)
        near = self.memory.table.neighbours(reach, ask.partition, vector, CANDIDATES, ask.history)
        trace.search_s = perf_counter() - started
        free = self.blocked.without(ask, near)
        verdict = await self.decider.decide(self.policy, category, ask, free, trace)
        if isinstance(verdict, Miss):
            stopped = near and (not free or free[0] is not near[0])
            return Miss(Reason.BLOCKED, category, near[0][1]) if stopped else verdict
        key = EntryKey(verdict.key)
        if self.memory.table.get(key) is None:  # purged while the scorer was thinking
            return Miss(Reason.PAYLOAD_MISSING, category, verdict.similarity, verdict.threshold)
        payload = await self._payload(key, trace)
        if isinstance(payload, Reason):
            return Miss(payload, category, verdict.similarity, verdict.threshold)
        if self.blocked.stops(ask, key, payload.prompt, payload.created_s):  # by now
            return Miss(Reason.BLOCKED, category, verdict.similarity, verdict.threshold)
        return self._serve(ask, verdict, payload, trace)

    def _with_history(self, request: Request, ask: Ask, category: str) -> Ask:
        """Add the earlier turns where they may be in other words; free where they may not."""
        wanted = self.decider.turns is not None and self.policy.equivalent_history(category)
        return self.identity.with_history(request, ask) if wanted else ask

    def _serve(self, ask: Ask, verdict: Hit | Miss, payload: Payload, trace: Trace) -> Found | Miss:
        if isinstance(verdict, Miss):
            return verdict
        if ask.call.wants_usage and payload.answer.usage is None:
            return Miss(Reason.USAGE_UNKNOWN, verdict.category, verdict.similarity)
        if not self.memory.standing.good(ask.principal, payload.created_s, self.clock()):
            return Miss(Reason.REVALIDATE, verdict.category, verdict.similarity)
        self.memory.table.touch(EntryKey(verdict.key))
        return Found(verdict, payload, trace, ask)

    async def _payload(self, key: EntryKey, trace: Trace) -> Payload | Reason:
        payload = self.memory.hot.get(key)
        if payload is not None:
            return payload
        if self.memory.writer.is_deleting(key):
            return Reason.PAYLOAD_MISSING
        known = self.memory.table.get(key)
        started = perf_counter()
        try:
            data = await self.store.get(key)
            # What was written or purged meanwhile makes the answer one of the past.
            current = self.memory.table.get(key) is known
            if data is None:
                if known is not None and current:
                    self.memory.remove([key], "missing")
                return Reason.PAYLOAD_MISSING
            payload = decode_payload(data)
        except StoreError as exc:
            self.observer.notify(Failed("store.get", type(exc).__name__))
            return Reason.STORE
        except CorruptRecord as exc:
            self.observer.notify(Failed("store.decode", type(exc).__name__))
            if current:
                self.memory.remove([key], "corrupt")
            return Reason.PAYLOAD_CORRUPT
        finally:
            trace.store_s += perf_counter() - started
        if current:
            self.memory.hot.put(key, payload, len(data))
        return payload

    def _lead(
        self,
        ask: Ask,
        miss: Miss,
        trace: Trace,
        vector: Vector | None,
        access: Access,
        *,
        shared: bool,
    ) -> Lead | Follow:
        flight = self.flights.join(ask.key) if shared else None
        if flight is not None:  # someone began while this call was searching
            return Follow(ask, miss, trace, flight)
        rendering = (ask.call.stream, ask.call.wants_usage)
        flight = self.flights.lead(ask.key, rendering) if shared else None
        return Lead(ask, miss, trace, vector, access.write, flight, self.clock())

    def _report(self, outcome: Outcome, trace: Trace) -> None:
        match outcome:
            case Found(hit=verdict) | Lead(miss=verdict) | Aside(bypass=verdict):
                self.observer.notify(LookedUp(verdict, trace))
            case Follow(miss=miss):
                self.observer.notify(LookedUp(miss, trace, collapsed=True))
