"""Which candidates nothing speaks against: fresh, near enough, and no guard objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .facts import Call, Candidate
from .freshness import Fresh, freshness
from .guards.signature import Signature, signature
from .guards.verdict import objection
from .policy_values import CategoryPolicy
from .verdict import Miss, Reason


@dataclass(frozen=True, slots=True)
class Ready:
    """A candidate that may answer, and for how long yet."""

    candidate: Candidate
    policy: CategoryPolicy  # that of the prompt's category and the entry's, the stricter of both
    fresh: Fresh


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
    candidates: Sequence[Candidate],
    now_s: float,
    floor_of: Callable[[CategoryPolicy], float],
) -> Shortlist:
    """Shorten ``candidates`` (best first) to those that may be served.

    ``policy_for`` gives the policy for entries of a category, ``floor_of`` the least similarity
    under a policy.
    """
    ready: list[Ready] = []
    nearest: Miss | None = None
    mine: Signature | None = None
    for candidate in candidates:
        policy = policy_for(candidate.category)
        floor = floor_of(policy)
        if not candidate.similarity >= floor:  # so that NaN is below it
            continue
        if policy.guards and mine is None:
            mine = signature(call.prompt)
        outcome = _look(policy, call, mine, candidate, now_s)
        if isinstance(outcome, Fresh):
            ready.append(Ready(candidate, policy, outcome))
        else:
            nearest = nearest or Miss(outcome, category, candidate.similarity, floor)
    if nearest is None:
        reason, best = Reason.NEW, None
        if candidates:
            reason, best = Reason.BELOW_THRESHOLD, candidates[0].similarity
        nearest = Miss(reason, category, best, floor_of(policy_for(category)))
    return Shortlist(tuple(ready), nearest)


def _look(
    policy: CategoryPolicy, call: Call, mine: Signature | None, candidate: Candidate, now_s: float
) -> Fresh | Reason:
    fresh = freshness(candidate.created_s, now_s, policy.ttl_s, candidate.ttl_s, call.directives)
    if isinstance(fresh, Reason) or mine is None:
        return fresh
    return Reason.GUARD if objection(mine, candidate.signature) else fresh
