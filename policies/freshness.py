"""How old an answer may be. Age runs from creation; no hit renews it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .facts import Directives
from .verdict import Reason


@dataclass(frozen=True, slots=True)
class Fresh:
    """The answer may be served: ``age_s`` old, ``left_s`` of its life to come."""

    age_s: float
    left_s: float


def lifetime_s(policy_ttl_s: float, *bounds_s: float | None) -> float:
    """Return the shortest of the policy's TTL and the clients' own bounds."""
    return min((policy_ttl_s, *(bound for bound in bounds_s if bound is not None)))


def freshness(
    created_s: float,
    now_s: float,
    policy_ttl_s: float,
    stored_ttl_s: float | None,
    asked: Directives,
) -> Fresh | Reason:
    """Decide by today's policy and by what this client accepts (RFC 9111, section 5.2.1).

    ``stored_ttl_s`` is the bound that the filling client set, if it set one. A clock that went back
    makes an answer newborn, never younger than that; a creation time that is not a number is
    expired.
    """
    if not math.isfinite(created_s):
        return Reason.EXPIRED
    age_s = max(0.0, now_s - created_s)
    left_s = lifetime_s(policy_ttl_s, stored_ttl_s) - age_s
    if left_s <= 0:
        return Reason.EXPIRED
    too_old = asked.max_age_s is not None and age_s > asked.max_age_s
    too_brief = asked.min_fresh_s is not None and left_s < asked.min_fresh_s
    if too_old or too_brief:
        return Reason.CLIENT_FRESHNESS
    return Fresh(age_s, left_s)
