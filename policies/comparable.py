"""Whether two answers to a call may be compared, to learn if one could stand for the other."""

from __future__ import annotations

from .facts import Call
from .policy_values import CategoryPolicy
from .sampling import is_sampled


def comparable(call: Call, policy: CategoryPolicy) -> bool:
    """Say whether what tells two answers to ``call`` apart is more than chance.

    Calls with tools, with several choices or sampled beyond the policy are left alone, and so is
    whoever asked that nothing be kept.
    """
    plain = call.ends_with_user_text and not call.has_tools and call.choices == 1
    return plain and not call.directives.no_store and not is_sampled(call, policy)
