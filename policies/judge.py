"""Does a stored answer answer this call? Similarity proposes, everything here may object."""

from __future__ import annotations

from dataclasses import replace

from .facts import Call
from .lifespan import still_good
from .policy_values import CategoryPolicy
from .shortlist import Ready, Shortlist
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
    fresh = still_good(policy, key, created_s, stored_ttl_s, call.directives, now_s, call.prompt)
    if isinstance(fresh, Reason):
        return Miss(fresh, policy.name, 1.0)
    reason = Reason.STALE if fresh.stale else Reason.EXACT
    return Hit(key, Tier.EXACT, reason, policy.name, 1.0, 1.0, fresh.age_s, fresh.left_s)


def judge(found: Shortlist, *, closed: bool = False) -> Hit | Miss:
    """Judge what similarity and guards have left over: they alone decide.

    ``closed``: what is known of earlier hits forbids any.
    """
    return judge_alone(found.ready[0], closed=closed) if found.ready else found.miss


def judge_alone(best: Ready, *, closed: bool) -> Hit | Miss:
    """Judge one candidate of the shortlist by similarity, which brought it there."""
    bar = best.policy.similarity_threshold
    if closed or best.policy.shadow:
        why = Reason.UNSURE if closed else Reason.SHADOW
        key, near = best.candidate.key, best.candidate.similarity
        return Miss(why, best.policy.name, near, bar, key=key)
    return _hit(best, bar)


def judge_scored(ready: Ready, probability: float, bar: float) -> Hit | Miss:
    """Judge one candidate of the shortlist by its probability of having the same answer."""
    policy = ready.policy
    sure = probability >= bar
    if not sure or policy.shadow:
        return Miss(
            Reason.SHADOW if sure else Reason.UNSURE,
            policy.name,
            ready.candidate.similarity,
            policy.candidate_floor,
            probability,
            ready.candidate.key,
        )
    return replace(_hit(ready, policy.candidate_floor), probability=probability)


def _hit(ready: Ready, threshold: float) -> Hit:
    return Hit(
        ready.candidate.key,
        Tier.SEMANTIC,
        Reason.STALE if ready.fresh.stale else Reason.SEMANTIC,
        ready.policy.name,
        ready.candidate.similarity,
        threshold,
        ready.fresh.age_s,
        ready.fresh.left_s,
    )
