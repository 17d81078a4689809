"""Steps 9 to 11 of the request path: which of the nearest entries answers, if any does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from ..policies.facts import Candidate
from ..policies.policy import Policy
from ..policies.shortlist import Ready
from ..policies.verdict import Hit, Miss, Reason
from .asking.fingerprint import Ask
from .asking.turns import HOPELESS, TurnScorer
from .entries.neighbour import Neighbour
from .errors import EmbedderError, ScorerError
from .events import Failed, Observer, Trace
from .ports import Clock, PairScorer

SCORED = 2  # candidates that the scorer is asked about, best first; each costs a millisecond


@dataclass(slots=True)
class Decider:
    """Asks the policy, and the scorer where there is one. Any error of the scorer is a miss."""

    scorer: PairScorer | None
    observer: Observer
    clock: Clock
    turns: TurnScorer | None = None  # None: earlier turns must be the same

    async def decide(
        self,
        policy: Policy,
        category: str,
        ask: Ask,
        near: Sequence[Neighbour],
        trace: Trace,
    ) -> Hit | Miss:
        """Decide about ``near``, best first, which the table has just found."""
        started = perf_counter()
        call = ask.call
        if self.scorer is None:
            verdict = policy.judge(category, call, near, self.clock())
            trace.judge_s = perf_counter() - started
            return verdict
        turns = ask.history.turns if ask.history is not None else ()
        found = policy.shortlist(category, call, near, self.clock(), turns, SCORED)
        miss: Miss | None = None
        lent: Hit | None = None
        try:
            for ready in found.ready[:SCORED]:
                chance = await self._probability(call.prompt, ready)
                if chance is None:
                    miss = miss or _unread(ready)
                    continue
                verdict = policy.judge_scored(category, ready, chance, call.model)
                if isinstance(verdict, Hit):
                    if not verdict.relaxed:
                        return verdict
                    lent = lent or verdict  # unless the next one needs no load to be served
                    continue
                miss = verdict if miss is None else _surer(miss, verdict)
        except ScorerError as exc:
            self.observer.notify(Failed("score", type(exc).__name__))
            return Miss(Reason.SCORER, category, near[0].similarity)
        except EmbedderError as exc:  # of an earlier turn
            self.observer.notify(Failed("embed", type(exc).__name__))
            return Miss(Reason.EMBEDDER, category, near[0].similarity)
        finally:
            trace.judge_s = perf_counter() - started
        return lent or miss or found.miss

    async def _probability(self, asked: str, ready: Ready) -> float | None:
        """Return the probability of the same answer: of the last texts and of all turns before.

        None where the scorer cannot read the last texts.
        """
        chance = await self._of_last(asked, ready.candidate)
        if chance is None or not ready.differences:
            return chance
        if chance < HOPELESS or self.turns is None:
            return 0.0
        floor = ready.policy.candidate_floor
        return min(chance, await self.turns.least(ready.differences, floor))

    async def _of_last(self, asked: str, stored: Candidate) -> float | None:
        assert self.scorer is not None
        if asked == stored.prompt:  # of a conversation in other words, else it were an exact hit
            return 1.0
        logit = await self.scorer.score(asked, stored.prompt)
        return None if logit is None else self.scorer.fusion.probability(stored.similarity, logit)


def _unread(ready: Ready) -> Miss:
    candidate, policy = ready.candidate, ready.policy
    return Miss(Reason.UNFAMILIAR, policy.name, candidate.similarity, policy.candidate_floor)


def _surer(one: Miss, other: Miss) -> Miss:
    """Return the one that a lower bar would serve first: what evidence is to speak about."""
    return other if (other.probability or 0.0) > (one.probability or 0.0) else one
