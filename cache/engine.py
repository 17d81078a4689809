"""The request path. ``lookup`` is all of it, in order; ``settle`` is the way back.

Decisions are made by ``policies``; this module fetches the facts they need and acts on what they
say. State changes are synchronous; the I/O they call for is queued.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

from ..policies.eligibility import Access
from ..policies.facts import Call
from ..policies.policy import Policy
from ..policies.verdict import Bypass, Miss, Reason
from .asking.fingerprint import Ask
from .asking.identity import Identity, Request
from .deciding import Decider
from .entries.aliases import Aliases
from .entries.memory import Memory
from .errors import EmbedderError
from .events import Failed, LookedUp, Observer, Trace
from .fail_open import fail_open
from .learning.blocked import Blocked
from .learning.economics import Economics
from .learning.evidence import Evidence
from .leases import Leases
from .outcome import Aside, Follow, Found, Lead, Outcome
from .ports import Clock, Embedder, Position, Store, Vector
from .removing.hot_sweep import drop_covered
from .removing.in_force import Known
from .removing.invalidated import Invalidated
from .replication.left_out import LeftOut
from .replication.level import Level
from .screening import Screening
from .singleflight import Flights
from .stored_answers import StoredAnswers

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
    leases: Leases | None = None  # None: other processes may ask the same at the same time
    position: Position | None = None  # up to which the store's changes are carried out here
    economics: Economics | None = None  # None: all questions are looked up
    level: Level | None = None  # None: answers are served however long the store was not heard
    left_out: LeftOut = field(default_factory=LeftOut)
    answers: StoredAnswers = field(init=False)
    aliases: Aliases = field(init=False)
    invalidated: Invalidated = field(init=False)

    def __post_init__(self) -> None:
        self.invalidated = Invalidated(
            self.clock, self.embedder, partial(drop_covered, self.memory, self.flights)
        )
        self.screening = replace(self.screening, invalidated=self.invalidated)
        self.aliases = Aliases(self.memory.table)
        self.answers = StoredAnswers(
            self.memory,
            self.store,
            self.blocked,
            self.invalidated,
            self.observer,
            self.clock,
        )

    async def lookup(self, request: Request) -> Outcome:
        """Find an answer, or say who asks the model. Never raises but for cancellation."""
        outcome, trace = await self.find(request)
        self.report(outcome, trace)
        return outcome

    async def find(self, request: Request) -> tuple[Outcome, Trace]:
        """Do the same, to be reported when the caller has the answer: he need not wait for that."""
        trace = Trace()
        started = perf_counter()
        outcome: Outcome = Aside(Bypass(Reason.INTERNAL))
        with fail_open(self.observer, "lookup"):
            outcome = await self._lookup(request, trace)
        trace.total_s = perf_counter() - started
        return outcome, trace

    async def _lookup(self, request: Request, trace: Trace) -> Outcome:
        if self.epoch is None:
            return Aside(Bypass(Reason.STARTING))
        request = self._marked(request)
        call, known = request.call, self.invalidated.known
        policy = self.policy  # another may be in force when this has been judged
        # 1 may it use the cache at all, 2 does a rule name its category, and may that be cached?
        access = self._access(policy, call)
        category = policy.by_rule(call, request.origin)
        if category is not None and isinstance(access, Access):
            access = self.narrow(policy, access, call, category)
        if isinstance(access, Bypass):
            return Aside(access)
        # 3 who asks what
        ask = self.identity.identify(request, self.epoch)
        if ask is None:
            return Aside(Bypass(Reason.ANONYMOUS))
        # 4 the same question to the letter, or words that were judged before
        exact = await self._known(policy, request, ask, access, category, trace)
        if isinstance(exact, Found):
            return exact
        # 5 its vector, 6 its category by meaning
        ruled = category
        vector, doubt = await self.embed(ask, access, category, trace)
        if category is None:
            category = policy.by_meaning(vector)
            narrowed = self.narrow(policy, access, call, category)
            if isinstance(narrowed, Bypass):
                return Aside(narrowed)
            access = narrowed
            if doubt is Reason.EMBEDDER or not self.learnt:
                # It may be of a kind that must not be stored.
                access = Access(access.read, write=False, exact_because=Reason.EMBEDDER)
        shared = access.read and policy.shares_in_flight(call, category)
        # 7 is someone asking it right now?
        flight = self.flights.join(ask.key) if shared else None
        if flight is not None:
            return Follow(ask, Miss(Reason.NEW, category), trace, flight)
        # 8-12 the same question in other words
        if access.semantic and vector is not None:
            ask = self.with_history(policy, request, ask, category)
        found = await self.by_meaning(ask, access, category, vector, doubt, trace, policy)
        if isinstance(found, Found):
            self.aliases.keep(policy, found, ruled, category)
            return found
        why = Reason.NEW if exact is None else exact.reason
        return self._lead(
            ask,
            found if why is Reason.NEW else replace(found, reason=why),
            trace,
            vector if access.semantic else None,
            access,
            known,
            shared=shared,
        )

    def hears(self) -> bool:
        """Say whether answers may be served, as far as what was done to the store goes."""
        return self.level is None or self.level.is_good()

    def use(self, policy: Policy) -> None:
        """Decide by ``policy`` from now on. Lookups under way end under the one they began with."""
        policy.take_over(self.policy)
        self.screening = replace(self.screening, policy=policy)
        self.evidence.use(policy)
        self.policy = policy

    def _access(self, policy: Policy, call: Call) -> Access | Bypass:
        access = policy.access(call)
        if isinstance(access, Access) and not self.hears():
            return replace(access, read=False)
        return access

    def _marked(self, request: Request) -> Request:
        call = self.policy.marked(request.call)
        return request if call is request.call else replace(request, call=call)

    def narrow(self, policy: Policy, access: Access, call: Call, category: str) -> Access | Bypass:
        """Return what the policy of ``category`` leaves of ``access``."""
        narrowed = policy.narrow(access, call, category)
        if isinstance(narrowed, Access) and policy.bars_reuse(call, category, self.clock):
            return Bypass(Reason.TIME_WORDS, category)
        return narrowed

    async def _known(
        self,
        policy: Policy,
        request: Request,
        ask: Ask,
        access: Access,
        ruled: str | None,
        trace: Trace,
    ) -> Found | Miss | None:
        """Look for the very words: as those of an entry, then as an alias of one."""
        if not access.read:
            return None
        exact = await self.answers.exact(ask, trace, policy)
        if isinstance(exact, Found) or exact.reason is not Reason.NEW:
            return exact
        meant = self.aliases.recall(policy, ask, ruled, self.clock())
        allowed = None if meant is None else self.narrow(policy, access, ask.call, meant.category)
        if meant is None or not isinstance(allowed, Access) or not allowed.semantic:
            return exact
        ask = self.with_history(policy, request, ask, meant.category)
        found = await self.answers.of(ask, meant, trace, policy)
        return found if isinstance(found, Found) else exact

    async def embed(
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

    async def by_meaning(
        self,
        ask: Ask,
        access: Access,
        category: str,
        vector: Vector | None,
        doubt: Reason | None,
        trace: Trace,
        policy: Policy,
    ) -> Found | Miss:
        """Look for the same question in other words, or say why there is none."""
        if not access.read:
            asked = ask.call.directives.no_cache
            return Miss(Reason.CLIENT_NO_CACHE if asked else Reason.STORE, category)
        if vector is None or not access.semantic:
            return Miss(access.exact_because or doubt or Reason.EXACT_ONLY, category)
        if self.economics and not policy.failing and self.economics.passes_over(category, ask.key):
            return Miss(Reason.PROBED, category)
        started = perf_counter()
        reach = policy.reach(category)
        near = self.memory.table.near(reach, ask.partition, vector, CANDIDATES, ask.history)
        trace.search_s = perf_counter() - started
        free = self.blocked.without(ask, near)
        verdict = await self.decider.decide(policy, category, ask, free, trace)
        if isinstance(verdict, Miss):
            stopped = near and (not free or free[0] is not near[0])
            return Miss(Reason.BLOCKED, category, near[0].similarity) if stopped else verdict
        return await self.answers.of(ask, verdict, trace, policy)

    def with_history(self, policy: Policy, request: Request, ask: Ask, category: str) -> Ask:
        """Add the earlier turns where they may be in other words; free where they may not."""
        wanted = self.decider.turns is not None and policy.equivalent_history(category)
        return self.identity.with_history(request, ask) if wanted else ask

    def _lead(
        self,
        ask: Ask,
        miss: Miss,
        trace: Trace,
        vector: Vector | None,
        access: Access,
        known: Known,
        *,
        shared: bool,
    ) -> Lead | Follow:
        flight = self.flights.join(ask.key) if shared else None
        if flight is not None:  # someone began while this call was searching
            return Follow(ask, miss, trace, flight)
        rendering = (ask.call.stream, ask.call.wants_usage)
        flight = self.flights.lead(ask.key, rendering) if shared else None
        return Lead(ask, miss, trace, vector, access.write, flight, known)

    def report(self, outcome: Outcome, trace: Trace) -> None:
        """Tell observers what was found."""
        match outcome:
            case Found(hit=verdict) | Lead(miss=verdict) | Aside(bypass=verdict):
                self.observer.notify(LookedUp(verdict, trace))
            case Follow(miss=miss):
                self.observer.notify(LookedUp(miss, trace, collapsed=True))
