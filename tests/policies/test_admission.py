"""Which answers are stored, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.admission import admission
from kindcache.policies.facts import NO_DIRECTIVES, Directives
from kindcache.policies.verdict import Admit, Reason, Refuse

from .facts import a_policy, an_answer, directives, seconds


@pytest.mark.parametrize("status", [200, 201, 299])
@pytest.mark.parametrize("reasons", [("stop",), ("end_turn",), ("stop", "stop_sequence")])
def test_complete_answers_are_stored(status: int, reasons: tuple[str, ...]) -> None:
    facts = an_answer(status=status, finish_reasons=reasons)
    assert admission(a_policy(), facts, NO_DIRECTIVES) == Admit(100.0)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"status": 199}, Reason.STATUS),
        ({"status": 302}, Reason.STATUS),
        ({"status": 429}, Reason.STATUS),
        ({"status": 500}, Reason.STATUS),
        ({"upstream_no_store": True}, Reason.UPSTREAM_NO_STORE),
        ({"complete": False}, Reason.INCOMPLETE),
        ({"finish_reasons": ()}, Reason.EMPTY),
        ({"finish_reasons": ("length",)}, Reason.FINISH_REASON),
        ({"finish_reasons": ("content_filter",)}, Reason.FINISH_REASON),
        ({"finish_reasons": ("stop", "length")}, Reason.FINISH_REASON),
        ({"finish_reasons": ("",)}, Reason.FINISH_REASON),
        ({"finish_reasons": ("tool_calls",)}, Reason.FINISH_REASON),
        ({"finish_reasons": ("tool_calls",), "has_tool_calls": True}, Reason.TOOL_CALLS),
        ({"has_tool_calls": True}, Reason.TOOL_CALLS),
    ],
)
def test_other_answers_are_not(facts: dict[str, Any], reason: Reason) -> None:
    assert admission(a_policy(), an_answer(**facts), NO_DIRECTIVES) == Refuse(reason)


@pytest.mark.parametrize("finish", ["tool_calls", "tool_use", "stop"])
def test_tool_calls_are_stored_where_the_category_says_so(finish: str) -> None:
    facts = an_answer(has_tool_calls=True, finish_reasons=(finish,))
    assert admission(a_policy(tool_answers=True), facts, NO_DIRECTIVES) == Admit(100.0)


def test_a_tool_finish_without_a_tool_call_is_odd() -> None:
    facts = an_answer(finish_reasons=("tool_calls",))
    refused = Refuse(Reason.FINISH_REASON)
    assert admission(a_policy(tool_answers=True), facts, NO_DIRECTIVES) == refused


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        (Directives(ttl_s=5), Admit(5)),
        (Directives(ttl_s=500), Admit(100)),
        (Directives(ttl_s=0), Refuse(Reason.CLIENT_NO_STORE)),
        (Directives(no_store=True), Refuse(Reason.CLIENT_NO_STORE)),
        (Directives(no_cache=True), Admit(100)),
    ],
)
def test_what_the_client_asked(asked: Directives, verdict: Admit | Refuse) -> None:
    assert admission(a_policy(), an_answer(), asked) == verdict


def test_a_category_that_is_not_cached_stores_nothing() -> None:
    refused = Refuse(Reason.CATEGORY)
    assert admission(a_policy(cache=False), an_answer(), NO_DIRECTIVES) == refused


@given(directives, seconds, st.sampled_from([200, 404]), st.booleans())
def test_directives_only_shorten(
    asked: Directives, ttl_s: float, status: int, complete: bool
) -> None:
    policy, facts = a_policy(ttl_s=ttl_s), an_answer(status=status, complete=complete)
    free = admission(policy, facts, NO_DIRECTIVES)
    bound = admission(policy, facts, asked)
    if isinstance(bound, Admit):
        assert isinstance(free, Admit)
        assert 0 < bound.retention_s <= free.retention_s
        assert asked.ttl_s is None or bound.retention_s <= asked.ttl_s
