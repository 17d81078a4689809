"""How long an answer lives under a category's policy: jitter, time words, stale windows.

One answer always gets the same life: it follows from its key, its prompt and when it was created.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .facts import Call, Candidate, Directives
from .freshness import Fresh, freshness
from .policy_values import CategoryPolicy
from .relaxing import longest_ttl_s
from .time_words import is_time_bound
from .verdict import Reason

_DRAWN_FROM = 8  # bytes of the key: its first ones choose workers and slots elsewhere


@dataclass(frozen=True, slots=True)
class Lifespan:
    """How long an answer is served: fresh, then for load's sake, then stale."""

    ttl_s: float
    stretch_s: float = 0.0
    stale_s: float = 0.0


def lifespan(
    policy: CategoryPolicy, key: bytes, created_s: float, *prompts: str
) -> Lifespan | None:
    """Return the life of the answer under ``key``; None where the policy bars its reuse.

    ``prompts`` are the one it was stored for and the one that is asked: either may speak of now.
    What does lives no longer than it must.
    """
    ttl_s, bound = policy.ttl_s, speaks_of_now(policy, created_s, *prompts)
    if bound and policy.time_words == "bar":
        return None
    if bound:
        ttl_s = min(ttl_s, policy.time_words_ttl_s)
    if policy.ttl_jitter:
        ttl_s *= 1.0 - policy.ttl_jitter * drawn(key)
    if bound:
        return Lifespan(ttl_s)
    return Lifespan(ttl_s, policy.stretch_s, policy.stale_while_revalidate_s)


def speaks_of_now(policy: CategoryPolicy, at_s: float, *prompts: str) -> bool:
    """Say whether ``prompts`` are of the kind that the policy's ``time_words`` are about."""
    return policy.time_words != "ignore" and any(is_time_bound(text, at_s) for text in prompts)


def still_good(
    policy: CategoryPolicy,
    key: bytes,
    created_s: float,
    stored_ttl_s: float | None,
    asked: Directives,
    now_s: float,
    *prompts: str,
) -> Fresh | Reason:
    """Decide whether a stored answer is young enough, by policy and for who asks."""
    if _is_plain(policy):  # most are, and exact hits are in a hurry
        return freshness(created_s, now_s, policy.ttl_s, stored_ttl_s, asked)
    life = lifespan(policy, key, created_s, *prompts)
    if life is None:
        return Reason.TIME_WORDS
    beyond_s = life.stretch_s + life.stale_s
    fresh = freshness(created_s, now_s, life.ttl_s, stored_ttl_s, asked, beyond_s)
    if isinstance(fresh, Fresh) and fresh.age_s >= life.ttl_s + life.stretch_s:
        return replace(fresh, stale=True)
    return fresh


def good_candidate(
    policy: CategoryPolicy, call: Call, candidate: Candidate, now_s: float
) -> Fresh | Reason:
    """Decide the same of a candidate, whose prompt may speak of now as well as the call's."""
    return still_good(
        policy,
        candidate.key,
        candidate.created_s,
        candidate.ttl_s,
        call.directives,
        now_s,
        call.prompt,
        candidate.prompt,
    )


def retention_s(policy: CategoryPolicy, key: bytes, created_s: float, prompt: str) -> float:
    """Return how long an answer is of any use: its life, at full load, and its stale windows."""
    life = lifespan(policy, key, created_s, prompt)
    if life is None:
        return 0.0
    if speaks_of_now(policy, created_s, prompt):
        return life.ttl_s
    return life.ttl_s + longest_life_s(policy) - policy.ttl_s


def longest_life_s(policy: CategoryPolicy) -> float:
    """Return how long an answer may be of use at most."""
    windows_s = max(policy.stale_while_revalidate_s, policy.stale_if_error_s)
    return longest_ttl_s(policy) + windows_s


def _is_plain(policy: CategoryPolicy) -> bool:
    """Say whether every answer lives for the TTL and no longer."""
    return (
        policy.time_words == "ignore"
        and not policy.ttl_jitter
        and not policy.stretch_s
        and not policy.stale_while_revalidate_s
    )


def drawn(key: bytes) -> float:
    """Return a number from 0 to below 1 that ``key`` alone decides, even over all keys."""
    tail = key[-_DRAWN_FROM:]
    return int.from_bytes(tail) / (1 << 8 * len(tail)) if tail else 0.0
