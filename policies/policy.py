"""The policy of a whole file: the only thing of this package that the engine calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import judge as judging
from .admission import admission
from .category import DEFAULT, NO_PROTOTYPES, Prototypes, Rules, compile_rules
from .eligibility import FULL, Access, access
from .facts import AnswerFacts, Call, Candidate, Directives, Origin, Turns
from .policy_values import CategoryPolicy, resolve
from .reach import reach, stricter
from .sampling import narrow, shares_in_flight
from .shortlist import Ready, Shortlist, shortlist
from .verdict import Admit, Bypass, Hit, Miss, Refuse

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
        self._rules = rules
        self._prototypes = NO_PROTOTYPES
        self._bars: Mapping[str, float] = {}

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

    def use_bars(self, bars: Mapping[str, float]) -> None:
        """Decide by ``bars`` from now on: calibrated probabilities by category, for those named."""
        self._bars = dict(bars)

    def bar(self, category: str) -> float:
        """Return the probability that an answer must reach in ``category`` today."""
        return self._bars.get(category, self[category].min_probability)

    def access(self, call: Call) -> Access | Bypass:
        """Decide from the call alone which tiers it may use."""
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
        return judging.judge_exact(self[category], call, key, created_s, stored_ttl_s, now_s)

    def reach(self, category: str) -> tuple[str, ...]:
        """Return the categories whose entries may answer prompts of this one, its own first."""
        return self._reach.get(category) or self._reach[DEFAULT]

    def equivalent_history(self, category: str) -> bool:
        """Say whether the user's earlier turns may be in other words."""
        return self[category].equivalent_history

    def judge(
        self, category: str, call: Call, candidates: Sequence[Candidate], now_s: float
    ) -> Hit | Miss:
        """Judge the nearest candidates, best first, by similarity and guards alone."""
        of = partial(self._for, category)
        found = shortlist(of, category, call, candidates, now_s, _THRESHOLD)
        involved = (category, *(ready.candidate.category for ready in found.ready[:1]))
        return judging.judge(found, closed=any(self.bar(name) > 1.0 for name in involved))

    def shortlist(
        self,
        category: str,
        call: Call,
        candidates: Sequence[Candidate],
        now_s: float,
        turns: Turns = (),
    ) -> Shortlist:
        """Shorten the nearest candidates to those that a scorer may be asked about.

        ``turns`` are the call's own, for candidates from other conversations.
        """
        of = partial(self._for, category)
        return shortlist(of, category, call, candidates, now_s, _FLOOR, turns)

    def judge_scored(self, category: str, ready: Ready, probability: float) -> Hit | Miss:
        """Judge one of the shortlist by its probability of having the same answer."""
        bar = max(self.bar(category), self.bar(ready.candidate.category))
        return judging.judge_scored(ready, probability, bar)

    def admit(self, category: str, facts: AnswerFacts, asked: Directives) -> Admit | Refuse:
        """Decide whether an answer is stored, and for how long."""
        return admission(self[category], facts, asked)

    def _for(self, asked: str, stored: str) -> CategoryPolicy:
        return self._both.get((asked, stored)) or stricter(self[asked], self[stored])


def compose(settings: Settings) -> Policy:
    """Compose the policy that ``settings`` describe. Patterns are compiled here, once."""
    names = dict.fromkeys((*settings.categories, DEFAULT))
    policies = {name: resolve(settings, name) for name in names}
    return Policy(policies, compile_rules(settings), others=settings.classifier.others)
