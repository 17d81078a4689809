"""Which candidates nothing speaks against: fresh, near enough, and no guard objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .facts import Call, Candidate, Proposed, Turns
from .freshness import Fresh
from .guards.signature import Signature, signature
from .guards.verdict import objection
from .history import Differences, differences, likeness
from .lifespan import good_candidate
from .policy_values import CategoryPolicy
from .verdict import Miss, Reason

ALL = 1 << 30  # more than any search proposes


@dataclass(frozen=True, slots=True)
class Ready:
    """A candidate that may answer, and for how long yet."""

    candidate: Candidate
    policy: CategoryPolicy  # that of the prompt's category and the entry's, the stricter of both
    fresh: Fresh
    differences: Differences = ()  # earlier turns that the scorer must accept too


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Who may answer, best first, and the miss that it is when none of them does.

    The reason of the miss is that of the nearest candidate, since it was the likeliest answer.
    """

    ready: tuple[Ready, ...]
    miss: Miss


def shortlist(
    policy_for: Callable[[str], CategoryPolicy],
    category: str,
    call: Call,
    candidates: Sequence[Proposed],
    now_s: float,
    floor_of: Callable[[CategoryPolicy], float],
    turns: Turns = (),
    enough: int = ALL,
) -> Shortlist:
    """Shorten ``candidates`` (best first) to those that may be served.

    ``policy_for`` gives the policy for entries of a category, ``floor_of`` the least similarity
    under a policy, ``turns`` are the call's own. Its first ``enough`` are those that they would be
    if all were looked at.
    """
    ready: list[Ready] = []
    nearest: Miss | None = None
    mine: Signature | None = None
    for proposed in candidates:
        policy = policy_for(proposed.category)
        floor = floor_of(policy)
        if not proposed.similarity >= floor:  # so that NaN is below it
            continue
        candidate = proposed.read()
        if policy.guards and mine is None:
            mine = signature(call.prompt)
        outcome = _look(policy, call, mine, candidate, now_s)
        if isinstance(outcome, Fresh):
            differing = differences(policy, turns, candidate)
            if differing is not None:
                ready.append(Ready(candidate, policy, outcome, differing))
                enough -= outcome.left_s > 0.0
                if enough <= 0 and not turns:
                    break
                continue
            outcome = Reason.HISTORY
        nearest = nearest or Miss(outcome, category, candidate.similarity, floor)
    if nearest is None:
        reason, best = Reason.NEW, None
        if candidates:
            reason, best = Reason.BELOW_THRESHOLD, candidates[0].similarity
        nearest = Miss(reason, category, best, floor_of(policy_for(category)))
    if turns:
        ready.sort(key=_nearness, reverse=True)
    ready.sort(key=_is_past_its_life)  # what load lets pass, or a stale window, comes last
    return Shortlist(tuple(ready), nearest)


def _is_past_its_life(ready: Ready) -> bool:
    return ready.fresh.left_s <= 0.0


def _nearness(ready: Ready) -> float:
    """Order conversations by both: many end in the same words, few begin alike."""
    return ready.candidate.similarity * likeness(ready.differences)


def _look(
    policy: CategoryPolicy, call: Call, mine: Signature | None, candidate: Candidate, now_s: float
) -> Fresh | Reason:
    fresh = good_candidate(policy, call, candidate, now_s)
    if isinstance(fresh, Reason) or mine is None:
        return fresh
    return Reason.GUARD if objection(mine, candidate.signature) else fresh
