"""What load may relax: bars and lifetimes of the categories that allow it, never past their floors.

Linear between rest (0) and full load (1): ``bar - factor (bar - floor)``, and the same for the TTL.
A category with ``max_error_rate`` keeps its bars, since the one that evidence certifies is the
lowest within that rate; load may only let its answers live longer.

Every hit that relaxing has made is labelled with what it needed.
"""

from __future__ import annotations

from dataclasses import replace

from .policy_values import CategoryPolicy
from .verdict import Hit, Reason, Relaxed

FINEST = 100  # steps of the factor that decisions tell apart


def relaxed(policy: CategoryPolicy, factor: float) -> CategoryPolicy:
    """Return ``policy`` under a load ``factor`` of 0..1."""
    floors = policy.under_load
    if floors is None or factor <= 0.0:
        return policy
    threshold = policy.similarity_threshold
    if policy.max_error_rate is None:
        threshold = _between(threshold, floors.similarity_threshold, factor)
    longest_s = max(policy.ttl_s, floors.ttl_s or 0.0)
    return replace(
        policy,
        similarity_threshold=threshold,
        stretch_s=factor * (longest_s - policy.ttl_s),
    )


def relaxed_bar(bar: float, policy: CategoryPolicy, factor: float) -> float:
    """Return the probability to reach instead of ``bar``, which may be one that nothing reaches."""
    floors = policy.under_load
    if floors is None or factor <= 0.0 or bar > 1.0 or policy.max_error_rate is not None:
        return bar
    return _between(bar, floors.min_probability, factor)


def longest_ttl_s(policy: CategoryPolicy) -> float:
    """Return how long an answer may live at full load: how long it must be kept."""
    floors = policy.under_load
    return max(policy.ttl_s, (floors.ttl_s or 0.0) if floors is not None else 0.0)


def labelled(hit: Hit, at_rest: CategoryPolicy, bar: float) -> Hit:
    """Return ``hit`` with what it needed of the load; ``at_rest`` and ``bar`` are what holds then.

    An answer past its life at rest has less than nothing left of it (``ttl_s``).
    """
    needed = []
    if hit.probability is not None and hit.probability < bar:
        needed.append(Relaxed.PROBABILITY)
    if hit.probability is None and hit.similarity < at_rest.similarity_threshold:
        needed.append(Relaxed.SIMILARITY)
    if hit.ttl_s <= 0.0 and hit.reason is not Reason.STALE:
        needed.append(Relaxed.TTL)
    return replace(hit, relaxed=tuple(needed)) if needed else hit


def _between(rest: float, floor: float | None, factor: float) -> float:
    return rest if floor is None or floor >= rest else rest - factor * (rest - floor)
