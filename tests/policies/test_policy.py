"""The policy of a whole file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kindcache.config.load import loads
from kindcache.policies.category import Prototypes
from kindcache.policies.eligibility import EXACT_ONLY, FULL
from kindcache.policies.facts import NO_DIRECTIVES, Origin
from kindcache.policies.policy_values import resolve
from kindcache.policies.verdict import Admit, Bypass, Hit, Miss, Reason, Refuse

from .facts import NOW_S, a_call, a_candidate, an_answer, composed

FILE = """
defaults: {similarity_threshold: 0.95, ttl: 1h, max_temperature: 0.5}
categories:
  code: {similarity_threshold: 0.85, ttl: 7d, share_sampled: true, match: {path: "/code"}}
  medical: {cache: false}
  letter: {semantic: false}
  open: {guards: false, sampled: semantic, tool_answers: true}
"""


def test_a_category_has_its_own_figures_and_else_the_defaults() -> None:
    code, default = (resolve(loads(FILE, "f"), name) for name in ("code", "default"))
    assert (code.similarity_threshold, code.ttl_s, code.share_sampled) == (0.85, 604_800.0, True)
    assert (code.max_temperature, code.guards, code.sampled) == (0.5, True, "exact")
    assert (default.similarity_threshold, default.ttl_s, default.share_sampled) == (
        0.95,
        3600.0,
        False,
    )


def test_the_categories_of_the_file() -> None:
    policy = composed(FILE)
    assert policy.names == ("code", "medical", "letter", "open", "default")
    assert "code" in policy
    assert "gone" not in policy
    assert policy["gone"] is policy["default"]
    assert policy["open"].guards is False


def test_a_file_may_say_what_default_is() -> None:
    policy = composed("categories: {default: {ttl: 5m}}")
    assert policy.names == ("default",)
    assert policy["default"].ttl_s == 300.0


def test_rules_decide_before_meaning() -> None:
    policy = composed(FILE)
    assert policy.by_rule(a_call(path="/code"), Origin()) == "code"
    assert policy.by_rule(a_call(), Origin()) is None


def test_meaning_decides_once_the_examples_are_there() -> None:
    policy, vector = composed(FILE), np.array([1, 0], dtype=np.float32)
    assert policy.by_meaning(vector) == "default"
    policy.use_prototypes(Prototypes(["code"], vector[None], min_similarity=0.3, margin=0.1))
    assert policy.by_meaning(vector) == "code"
    assert policy.by_meaning(None) == "default"


def test_each_category_judges_by_its_own_figures() -> None:
    policy = composed(FILE)
    code, other = (replace(a_candidate(0.9), category=name) for name in ("code", "default"))
    assert isinstance(policy.judge("code", a_call(), [code], NOW_S), Hit)
    assert not isinstance(policy.judge("default", a_call(), [other], NOW_S), Hit)


@pytest.mark.parametrize("closed", ["code", "default"])
def test_a_bar_above_1_closes_what_guards_alone_decide(closed: str) -> None:
    policy = composed(FILE)
    stored = replace(a_candidate(0.96), category="default")
    assert isinstance(policy.judge("code", a_call(), [stored], NOW_S), Hit)
    policy.use_bars({closed: 1.01})
    verdict = policy.judge("code", a_call(), [stored], NOW_S)
    assert isinstance(verdict, Miss)
    assert (verdict.reason, verdict.key) == (Reason.UNSURE, stored.key)
    policy.use_bars({closed: 0.5})
    assert isinstance(policy.judge("code", a_call(), [stored], NOW_S), Hit)


def test_age_is_judged_by_the_category_of_today() -> None:
    policy, day_s = composed(FILE), 86_400.0
    old = policy.judge_exact("code", a_call(), b"k", NOW_S - day_s, None, NOW_S)
    gone = policy.judge_exact("gone", a_call(), b"k", NOW_S - day_s, None, NOW_S)
    assert isinstance(old, Hit)
    assert gone.reason is Reason.EXPIRED


def test_access_and_its_narrowing() -> None:
    policy = composed(FILE)
    assert policy.access(a_call()) is FULL
    assert policy.narrow(FULL, a_call(), "code") is FULL
    assert policy.narrow(FULL, a_call(), "letter") == EXACT_ONLY
    assert policy.narrow(FULL, a_call(), "medical") == Bypass(Reason.CATEGORY, "medical")


@pytest.mark.parametrize(
    ("category", "serves"), [("code", True), ("letter", True), ("medical", False), ("gone", False)]
)
def test_entries_of_a_category_that_went_away_answer_nothing(category: str, serves: bool) -> None:
    assert composed(FILE).serves_exact(a_call(), category) is serves


def test_admission_is_the_category_s() -> None:
    policy = composed(FILE)
    assert policy.admit("code", an_answer(), NO_DIRECTIVES) == Admit(604_800.0)
    assert policy.admit("medical", an_answer(), NO_DIRECTIVES) == Refuse(Reason.CATEGORY)


def test_sharing_in_flight_is_the_category_s() -> None:
    policy, hot = composed(FILE), a_call(temperature=0.4)
    assert policy.shares_in_flight(hot, "code")
    assert not policy.shares_in_flight(hot, "default")
