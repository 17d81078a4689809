"""Decides whether an answer may be stored, and for how long."""

from __future__ import annotations

from .facts import AnswerFacts, Directives
from .freshness import lifetime_s
from .lifespan import retention_s
from .policy_values import CategoryPolicy, minds
from .verdict import Admit, Reason, Refuse

FINISHED = frozenset({"stop", "end_turn", "stop_sequence"})
FINISHED_WITH_TOOLS = frozenset({"tool_calls", "tool_use"})


def admission(
    policy: CategoryPolicy,
    facts: AnswerFacts,
    asked: Directives,
    key: bytes = b"",
    prompt: str = "",
    at_s: float = 0.0,
) -> Admit | Refuse:
    """Admit only complete, successful answers that the category wants.

    ``key``, ``prompt`` and the time ``at_s`` say how long the answer is of use.

    Any other finish reason (``length``, ``content_filter``, an unknown one) is an answer that
    another try could better.
    """
    reason = _refusal(policy, facts, asked)
    if reason is not None:
        return Refuse(reason)
    useful_s = retention_s(policy, key, at_s, prompt)
    if useful_s <= 0:
        return Refuse(Reason.TIME_WORDS)
    kept_s = lifetime_s(useful_s, asked.ttl_s)
    return Admit(kept_s) if kept_s > 0 else Refuse(Reason.CLIENT_NO_STORE)


def _refusal(policy: CategoryPolicy, facts: AnswerFacts, asked: Directives) -> Reason | None:
    if not policy.cache:
        return Reason.CATEGORY
    if minds(policy, facts.personal):
        return Reason.PERSONAL_DATA
    if asked.no_store:
        return Reason.CLIENT_NO_STORE
    if not 200 <= facts.status < 300:
        return Reason.STATUS
    if facts.upstream_no_store:
        return Reason.UPSTREAM_NO_STORE
    if not facts.complete:
        return Reason.INCOMPLETE
    if not facts.finish_reasons:
        return Reason.EMPTY
    if facts.has_tool_calls and not policy.tool_answers:
        return Reason.TOOL_CALLS
    allowed = FINISHED | FINISHED_WITH_TOOLS if facts.has_tool_calls else FINISHED
    if not allowed.issuperset(facts.finish_reasons):
        return Reason.FINISH_REASON
    return None
