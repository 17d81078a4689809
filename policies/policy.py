"""The policy of a whole file: the only thing of this package that the engine calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import judge as judging
from .admission import admission
from .category import DEFAULT, NO_PROTOTYPES, Prototypes, Rules, compile_rules
from .eligibility import FULL, Access, access
from .facts import AnswerFacts, Call, Candidate, Directives, Origin, Proposed, Turns
from .lifespan import good_candidate, speaks_of_now
from .personal.watch import watch
from .policy_values import CategoryPolicy, minds, resolve
from .reach import reach, stricter
from .relaxing import FINEST, labelled, relaxed, relaxed_bar
from .sampling import narrow, shares_in_flight
from .shortlist import ALL, Ready, Shortlist, shortlist
from .verdict import Admit, Bypass, Hit, Miss, Reason, Refuse

if TYPE_CHECKING:
    from ..config.settings import Settings

_THRESHOLD = attrgetter("similarity_threshold")
_FLOOR = attrgetter("candidate_floor")


class Policy:
    """Decides about calls, candidates and answers. Holds no state that a decision changes."""

    def __init__(
        self, categories: Mapping[str, CategoryPolicy], rules: Rules, *, others: bool = True
    ) -> None:
        self._categories = dict(categories)
        self._reach = {name: reach(self._categories, name, others=others) for name in categories}
        self._both = {
            (asked, stored): stricter(self._categories[asked], self._categories[stored])
            for asked in self._categories
            for stored in self._categories
        }
        self.failing = False  # True: stale answers need no refresh
        self.stands_in = any(policy.stale_if_error_s for policy in categories.values())
        self._personal = watch(categories.values())
        self._rules = rules
        self._prototypes = NO_PROTOTYPES
        self._bars: Mapping[str, float] = {}
        self._loads: Mapping[str, float] = {}
        self._relaxed: dict[tuple[str, str, float], CategoryPolicy] = {}

    def __getitem__(self, category: str) -> CategoryPolicy:
        """Return a category's policy; that of ``default`` when the file no longer has it."""
        return self._categories.get(category) or self._categories[DEFAULT]

    def __contains__(self, category: str) -> bool:
        return category in self._categories

    @property
    def names(self) -> Sequence[str]:
        """List the categories, ``default`` included."""
        return tuple(self._categories)

    def use_prototypes(self, prototypes: Prototypes) -> None:
        """Decide undecided prompts by ``prototypes`` from now on; until then they are default."""
        self._prototypes = prototypes

    def take_over(self, other: Policy) -> None:
        """Go on with the loads that ``other`` knows, which this one replaces."""
        self.use_loads(other._loads)

    def take_prototypes(self, other: Policy) -> None:
        """Decide by the prototypes of ``other``, made of the same examples."""
        self._prototypes = other._prototypes

    def use_bars(self, bars: Mapping[str, float]) -> None:
        """Decide by ``bars`` from now on: calibrated probabilities by category, for those named."""
        self._bars = dict(bars)

    def use_loads(self, loads: Mapping[str, float]) -> None:
        """Relax by ``loads``, factors of 0..1 by model, from now on; other models are at rest."""
        steps = {model: int(min(load, 1.0) * FINEST) / FINEST for model, load in loads.items()}
        steps = {model: step for model, step in steps.items() if step > 0.0}
        if steps != self._loads:
            self._loads = steps
            self._relaxed.clear()

    def load(self, model: str) -> float:
        """Return the load of ``model`` that decisions go by, 0..1 in hundredths."""
        return self._loads.get(model, 0.0)

    def bar(self, category: str, load: float = 0.0) -> float:
        """Return the probability that an answer must reach in ``category`` now."""
        bar = self._bars.get(category, self[category].min_probability)
        return relaxed_bar(bar, self[category], load) if load else bar

    def while_failing(self) -> Policy:
        """Return the policy for calls that the model failed to answer: `stale_if_error` counts."""
        twin = copy(self)
        twin._categories = {  # noqa: SLF001 - one of our own
            name: replace(
                policy,
                stale_while_revalidate_s=max(
                    policy.stale_while_revalidate_s, policy.stale_if_error_s
                ),
            )
            for name, policy in self._categories.items()
        }
        twin._both = {}  # noqa: SLF001 - made when asked for
        twin._relaxed = {}  # noqa: SLF001
        twin.failing = True
        return twin

    def marked(self, call: Call) -> Call:
        """Return ``call`` with the kinds of personal data in it, where a category minds any."""
        personal = self._personal.in_call(call) if self._personal is not None else None
        return replace(call, personal=personal) if personal else call

    def personal_in(self, texts: Iterable[str]) -> frozenset[str]:
        """Return the kinds of personal data in ``texts``, of those that a category minds."""
        return frozenset() if self._personal is None else self._personal.in_texts(texts)

    def kept_prompt(self, category: str, call: Call, *, by_meaning: bool) -> str | None:
        """Return the prompt as it may be kept with an entry; None = not at all.

        What a former policy allowed at lookup, such as to find it ``by_meaning``, this one may not.
        """
        policy = self[category]
        if self._personal is None:
            return call.prompt
        personal = self._personal.in_call(call)
        if not minds(policy, personal):
            return call.prompt
        if policy.personal_data == "refuse" or by_meaning or personal != call.personal:
            return None
        return self._personal.redacted(call.prompt, policy.personal_kinds)

    def access(self, call: Call) -> Access | Bypass:
        """Decide from the call alone which tiers it may use."""
        if call.personal and self._personal is not None and self._personal.refused(call):
            return Bypass(Reason.PERSONAL_DATA)
        return access(call)

    def by_rule(self, call: Call, origin: Origin) -> str | None:
        """Return the category that a rule names, None when no rule does."""
        return self._rules.decide(call, origin)

    def by_meaning(self, vector: NDArray[np.float32] | None) -> str:
        """Return the category of the nearest examples; without a vector, ``default``."""
        return DEFAULT if vector is None else self._prototypes.decide(vector)

    def narrow(self, access: Access, call: Call, category: str) -> Access | Bypass:
        """Narrow ``access`` by what the category allows."""
        return narrow(access, call, self[category])

    def bars_reuse(self, call: Call, category: str, now: Callable[[], float]) -> bool:
        """Say whether the category keeps no answers to prompts that speak of now, as this does."""
        policy = self[category]
        return policy.time_words == "bar" and speaks_of_now(policy, now(), call.prompt)

    def shares_in_flight(self, call: Call, category: str) -> bool:
        """Say whether concurrent equal calls may share one answer."""
        return shares_in_flight(call, self[category])

    def serves_exact(self, call: Call, category: str) -> bool:
        """Say whether an entry stored under ``category`` may answer its own question today."""
        known = category in self._categories
        return known and not isinstance(narrow(FULL, call, self[category]), Bypass)

    def judge_exact(
        self,
        category: str,
        call: Call,
        key: bytes,
        created_s: float,
        stored_ttl_s: float | None,
        now_s: float,
    ) -> Hit | Miss:
        """Judge the entry under the call's own key by its category's policy of today."""
        load, policy = self.load(call.model), self[category]
        used = relaxed(policy, load) if load else policy
        verdict = judging.judge_exact(used, call, key, created_s, stored_ttl_s, now_s)
        return labelled(verdict, policy, 0.0) if load and isinstance(verdict, Hit) else verdict

    def reach(self, category: str) -> tuple[str, ...]:
        """Return the categories whose entries may answer prompts of this one, its own first."""
        return self._reach.get(category) or self._reach[DEFAULT]

    def equivalent_history(self, category: str) -> bool:
        """Say whether the user's earlier turns may be in other words."""
        return self[category].equivalent_history

    def judge(
        self, category: str, call: Call, candidates: Sequence[Proposed], now_s: float
    ) -> Hit | Miss:
        """Judge the nearest candidates, best first, by similarity and guards alone."""
        of = partial(self._for, category, load=self.load(call.model))
        found = shortlist(of, category, call, candidates, now_s, _THRESHOLD, enough=1)
        involved = (category, *(ready.candidate.category for ready in found.ready[:1]))
        verdict = judging.judge(found, closed=any(self.bar(name) > 1.0 for name in involved))
        return self._labelled(verdict, involved[-1]) if isinstance(verdict, Hit) else verdict

    def shortlist(
        self,
        category: str,
        call: Call,
        candidates: Sequence[Proposed],
        now_s: float,
        turns: Turns = (),
        enough: int = ALL,
    ) -> Shortlist:
        """Shorten the nearest candidates to those that a scorer may be asked about.

        ``turns`` are the call's own, for candidates from other conversations; ``enough`` is how
        many it will be asked about at most.
        """
        of = partial(self._for, category, load=self.load(call.model))
        return shortlist(of, category, call, candidates, now_s, _FLOOR, turns, enough)

    def judge_scored(
        self, category: str, ready: Ready, probability: float, model: str = ""
    ) -> Hit | Miss:
        """Judge one of the shortlist by its probability of having the same answer."""
        load, stored = self.load(model), ready.candidate.category
        bar = max(self.bar(category, load), self.bar(stored, load))
        verdict = judging.judge_scored(ready, probability, bar)
        return self._labelled(verdict, stored) if isinstance(verdict, Hit) else verdict

    def judge_again(
        self,
        category: str,
        call: Call,
        candidate: Candidate,
        probability: float | None,
        now_s: float,
    ) -> Hit | Miss:
        """Judge a candidate that was accepted for these very words before.

        Its similarity, its ``probability`` (None: no scorer decided) and what guards say are what
        they were. Freshness, this client's directives and the bars may not be.
        """
        policy = self._for(category, candidate.category, load=self.load(call.model))
        fresh = good_candidate(policy, call, candidate, now_s)
        if isinstance(fresh, Reason):
            return Miss(fresh, category, candidate.similarity, policy.candidate_floor)
        bar = policy.similarity_threshold if probability is None else policy.candidate_floor
        if not candidate.similarity >= bar:  # it was accepted under load
            return Miss(Reason.BELOW_THRESHOLD, category, candidate.similarity, bar)
        ready = Ready(candidate, policy, fresh)
        if probability is not None:
            return self.judge_scored(category, ready, probability, call.model)
        closed = any(self.bar(name) > 1.0 for name in (category, candidate.category))
        verdict = judging.judge_alone(ready, closed=closed)
        return self._labelled(verdict, candidate.category) if isinstance(verdict, Hit) else verdict

    def admit(
        self,
        category: str,
        facts: AnswerFacts,
        asked: Directives,
        key: bytes = b"",
        prompt: str = "",
        at_s: float = 0.0,
    ) -> Admit | Refuse:
        """Decide whether an answer to ``prompt`` is stored under ``key``, and for how long."""
        if category not in self._categories:  # the file lost it while the model was answering
            return Refuse(Reason.CATEGORY)
        return admission(self[category], facts, asked, key, prompt, at_s)

    def _for(self, asked: str, stored: str, *, load: float = 0.0) -> CategoryPolicy:
        if not load:
            return self._both.get((asked, stored)) or stricter(self[asked], self[stored])
        key = (asked, stored, load)
        found = self._relaxed.get(key)
        if found is None:
            found = stricter(relaxed(self[asked], load), relaxed(self[stored], load))
            self._relaxed[key] = found
        return found

    def _labelled(self, hit: Hit, stored: str) -> Hit:
        if not self._loads and hit.ttl_s > 0.0:  # else it is of a moment ago that was loaded
            return hit
        bar = max(self.bar(hit.category), self.bar(stored))
        return labelled(hit, self._for(hit.category, stored), bar)


def compose(settings: Settings) -> Policy:
    """Compose the policy that ``settings`` describe. Patterns are compiled here, once."""
    names = dict.fromkeys((*settings.categories, DEFAULT))
    policies = {name: resolve(settings, name) for name in names}
    return Policy(policies, compile_rules(settings), others=settings.classifier.others)
