"""Does a stored answer answer this call? Similarity proposes, everything here may object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .facts import Call, Candidate
from .freshness import freshness
from .policy_values import CategoryPolicy
from .shortlist import Ready, shortlist
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
    """Judge ``candidates`` (best first) by similarity and guards alone."""
    bar = policy.similarity_threshold
    found = shortlist(policy, call, candidates, now_s, bar)
    return _hit(policy, found.ready[0], bar) if found.ready else found.miss


def judge_scored(policy: CategoryPolicy, ready: Ready, probability: float) -> Hit | Miss:
    """Judge one candidate of the shortlist by its probability of having the same answer."""
    bar = policy.min_probability
    if not probability >= bar:
        return Miss(
            Reason.UNSURE,
            policy.name,
            ready.candidate.similarity,
            policy.candidate_floor,
            probability,
        )
    return replace(_hit(policy, ready, policy.candidate_floor), probability=probability)


def _hit(policy: CategoryPolicy, ready: Ready, threshold: float) -> Hit:
    return Hit(
        ready.candidate.key,
        Tier.SEMANTIC,
        Reason.SEMANTIC,
        policy.name,
        ready.candidate.similarity,
        threshold,
        ready.fresh.age_s,
        ready.fresh.left_s,
    )
