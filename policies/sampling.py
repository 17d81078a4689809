"""What a call's sampling settings allow in its category."""

from __future__ import annotations

from .eligibility import Access
from .facts import Call
from .policy_values import CategoryPolicy, minds
from .verdict import Bypass, Reason


def narrow(access: Access, call: Call, policy: CategoryPolicy) -> Access | Bypass:
    """Narrow ``access`` by the category: not cached, exact tier only, or as it was.

    A temperature above ``max_temperature`` or a seed asks for one particular draw; another
    prompt's answer is not that draw.
    """
    if not policy.cache:
        return Bypass(Reason.CATEGORY, policy.name)
    if call.personal and minds(policy, call.personal):
        if policy.personal_data == "refuse":
            return Bypass(Reason.PERSONAL_DATA, policy.name)
        access = Access(access.read, access.write, access.exact_because or Reason.PERSONAL_DATA)
    if is_sampled(call, policy):
        if policy.sampled == "bypass":
            return Bypass(Reason.SAMPLING, policy.name)
        if policy.sampled == "exact":
            return Access(access.read, access.write, access.exact_because or Reason.EXACT_ONLY)
    if not policy.semantic and access.semantic:
        return Access(access.read, access.write, Reason.EXACT_ONLY)
    return access


def shares_in_flight(call: Call, policy: CategoryPolicy) -> bool:
    """Say whether concurrent equal calls may share one answer.

    An absent temperature is the model's default, and sequential equal calls share an answer too;
    an explicit one above zero asks for variety, which the category must allow to fold.
    """
    return policy.share_sampled or not call.temperature


def is_sampled(call: Call, policy: CategoryPolicy) -> bool:
    """Say whether the call asks for one particular draw, by its seed or its temperature."""
    hot = call.temperature is not None and call.temperature > policy.max_temperature
    return hot or call.seeded
