"""Steps 9 to 11 of the request path: which of the nearest entries answers, if any does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from ..policies.facts import Call, Candidate
from ..policies.policy import Policy
from ..policies.verdict import Hit, Miss, Reason
from .errors import ScorerError
from .events import Failed, Observer, Trace
from .memory import candidate
from .ports import Clock, PairScorer
from .table import Entry

SCORED = 2  # candidates that the scorer is asked about, best first; each costs a millisecond


@dataclass(slots=True)
class Decider:
    """Asks the policy, and the scorer where there is one. Any error of the scorer is a miss."""

    scorer: PairScorer | None
    observer: Observer
    clock: Clock

    async def decide(
        self,
        policy: Policy,
        category: str,
        call: Call,
        near: Sequence[tuple[Entry, float]],
        trace: Trace,
    ) -> Hit | Miss:
        """Decide about ``near``, entries with their similarity, best first."""
        candidates = [candidate(entry, similarity) for entry, similarity in near]
        if self.scorer is None:
            return policy.judge(category, call, candidates, self.clock())
        found = policy.shortlist(category, call, candidates, self.clock())
        miss: Miss | None = None
        started = perf_counter()
        try:
            for ready in found.ready[:SCORED]:
                chance = await self._probability(call.prompt, ready.candidate)
                verdict = policy.judge_scored(category, ready, chance)
                if isinstance(verdict, Hit):
                    return verdict
                miss = miss or verdict
        except ScorerError as exc:
            self.observer.notify(Failed("score", type(exc).__name__))
            return Miss(Reason.SCORER, category, candidates[0].similarity)
        finally:
            trace.judge_s = perf_counter() - started
        return miss or found.miss

    async def _probability(self, asked: str, stored: Candidate) -> float:
        assert self.scorer is not None
        logit = await self.scorer.score(asked, stored.prompt)
        return 0.0 if logit is None else self.scorer.fusion.probability(stored.similarity, logit)
