"""Does a stored answer answer this call? Similarity proposes, everything here may object."""

from __future__ import annotations

from collections.abc import Sequence

from .facts import Call, Candidate
from .freshness import Fresh, freshness
from .guards.signature import Signature, signature
from .guards.verdict import objection
from .policy_values import CategoryPolicy
from .verdict import Hit, Miss, Reason, Tier


def judge_exact(
    policy: CategoryPolicy,
    call: Call,
    key: bytes,
    created_s: float,
    stored_ttl_s: float | None,
    now_s: float,
) -> Hit | Miss:
    """Judge the entry under the call's own exact key: only its freshness is in question."""
    fresh = freshness(created_s, now_s, policy.ttl_s, stored_ttl_s, call.directives)
    if isinstance(fresh, Reason):
        return Miss(fresh, policy.name, 1.0)
    return Hit(key, Tier.EXACT, Reason.EXACT, policy.name, 1.0, 1.0, fresh.age_s, fresh.left_s)


def judge(
    policy: CategoryPolicy, call: Call, candidates: Sequence[Candidate], now_s: float
) -> Hit | Miss:
    """Judge ``candidates`` (best first) and return a hit on the first that nothing speaks against.

    The reason of a miss is that of the nearest candidate, since it was the likeliest answer.
    """
    threshold = policy.similarity_threshold
    nearest: Miss | None = None
    mine: Signature | None = None
    for candidate in candidates:
        if not candidate.similarity >= threshold:  # so that NaN is below it
            break
        if policy.guards and mine is None:
            mine = signature(call.prompt)
        outcome = _judge_one(policy, call, mine, candidate, now_s)
        if isinstance(outcome, Fresh):
            return Hit(
                candidate.key,
                Tier.SEMANTIC,
                Reason.SEMANTIC,
                policy.name,
                candidate.similarity,
                threshold,
                outcome.age_s,
                outcome.left_s,
            )
        nearest = nearest or Miss(outcome, policy.name, candidate.similarity, threshold)
    if nearest is not None:
        return nearest
    if not candidates:
        return Miss(Reason.NEW, policy.name, None, threshold)
    return Miss(Reason.BELOW_THRESHOLD, policy.name, candidates[0].similarity, threshold)


def _judge_one(
    policy: CategoryPolicy, call: Call, mine: Signature | None, candidate: Candidate, now_s: float
) -> Fresh | Reason:
    fresh = freshness(candidate.created_s, now_s, policy.ttl_s, candidate.ttl_s, call.directives)
    if isinstance(fresh, Reason) or mine is None:
        return fresh
    return Reason.GUARD if objection(mine, candidate.signature) else fresh
