"""How old an answer may be. Age runs from creation; no hit renews it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .facts import Directives
from .verdict import Reason

FUTURE_S = 60.0  # by which clocks of one fleet may differ; what is made later has an unknown age


@dataclass(frozen=True, slots=True)
class Fresh:
    """The answer may be served: ``age_s`` old, ``left_s`` of its life to come.

    Nothing or less left: it is stale, and only a stale window lets it be served.
    """

    age_s: float
    left_s: float
    stale: bool = False  # served in the hope of a fresh one; not where load alone made it live on


def lifetime_s(policy_ttl_s: float, *bounds_s: float | None) -> float:
    """Return the shortest of the policy's TTL and the clients' own bounds."""
    shortest_s = policy_ttl_s
    for bound_s in bounds_s:
        if bound_s is not None and bound_s < shortest_s:
            shortest_s = bound_s
    return shortest_s


def freshness(
    created_s: float,
    now_s: float,
    policy_ttl_s: float,
    stored_ttl_s: float | None,
    asked: Directives,
    beyond_s: float = 0.0,
) -> Fresh | Reason:
    """Decide by today's policy and by what this client accepts (RFC 9111, section 5.2.1).

    ``stored_ttl_s`` is the bound that the filling client set, if it set one; it ends the answer,
    stale or not. ``beyond_s`` is how long past its life the policy serves it. A clock that went
    back a little makes an answer newborn, never younger than that; a creation time that is far
    ahead, or not a number, is expired.
    """
    if not math.isfinite(created_s) or created_s - now_s > FUTURE_S:
        return Reason.EXPIRED
    age_s = max(0.0, now_s - created_s)
    left_s = lifetime_s(policy_ttl_s, stored_ttl_s) - age_s
    if left_s <= 0:
        if age_s >= lifetime_s(policy_ttl_s + beyond_s, stored_ttl_s):
            return Reason.EXPIRED
        return (
            Reason.CLIENT_FRESHNESS
            if _refuses_stale(asked, age_s, left_s)
            else Fresh(age_s, left_s)
        )
    too_old = asked.max_age_s is not None and age_s > asked.max_age_s
    too_brief = asked.min_fresh_s is not None and left_s < asked.min_fresh_s
    if too_old or too_brief:
        return Reason.CLIENT_FRESHNESS
    return Fresh(age_s, left_s)


def _refuses_stale(asked: Directives, age_s: float, left_s: float) -> bool:
    """Say whether a client wants no answer that is stale by ``-left_s``.

    Who bounds the age and says nothing of stale answers wants none; ``max-stale`` never widens
    what the policy serves.
    """
    if asked.min_fresh_s is not None:
        return True
    if asked.max_stale_s is not None and -left_s >= asked.max_stale_s:
        return True
    if asked.max_age_s is None:
        return False
    return asked.max_stale_s is None or age_s > asked.max_age_s
