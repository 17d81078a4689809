"""Whose entries may answer a prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kindcache.config.load import loads
from kindcache.policies.policy import compose
from kindcache.policies.verdict import Hit

from .facts import NOW_S, a_call, a_candidate

FILE = """
defaults: {similarity_threshold: 0.9, ttl: 1h}
categories:
  prices: {examples: [price], similarity_threshold: 0.95, ttl: 5m}
  chat: {examples: [hello], similarity_threshold: 0.8, ttl: 1d}
  medical: {examples: [pain], cache: false}
  verbatim: {examples: [law], semantic: false}
"""


def test_all_that_is_cached_by_meaning_is_within_reach_and_its_own_comes_first() -> None:
    policy = compose(loads(FILE, "f"))
    assert policy.reach("chat") == ("chat", "prices", "default")
    assert policy.reach("default") == ("default", "prices", "chat")


def test_the_search_can_be_kept_within_the_category() -> None:
    policy = compose(loads("classifier: {others: false}\n" + FILE, "f"))
    assert policy.reach("chat") == ("chat",)


@pytest.mark.parametrize(
    ("asked", "stored", "similarity", "age_s", "served"),
    [
        ("chat", "chat", 0.85, 4000.0, True),
        ("chat", "default", 0.85, 0.0, False),
        ("chat", "default", 0.92, 0.0, True),
        ("default", "chat", 0.85, 0.0, False),
        ("chat", "default", 0.92, 4000.0, False),  # an hour at most under default
        ("chat", "prices", 0.96, 200.0, True),
        ("prices", "chat", 0.96, 200.0, True),
        ("prices", "chat", 0.96, 400.0, False),
        ("chat", "prices", 0.96, 400.0, False),
        ("chat", "prices", 0.94, 200.0, False),
    ],
)
def test_an_entry_of_another_category_must_satisfy_both_policies(
    asked: str, stored: str, similarity: float, age_s: float, *, served: bool
) -> None:
    policy = compose(loads(FILE, "f"))
    candidate = replace(a_candidate(similarity, age_s=age_s), category=stored)
    verdict = policy.judge(asked, a_call(), [candidate], NOW_S)
    assert isinstance(verdict, Hit) is served
    assert verdict.category == asked


def test_a_category_that_the_file_no_longer_has_counts_as_default() -> None:
    policy = compose(loads(FILE, "f"))
    gone = replace(a_candidate(0.85), category="gone")
    assert not isinstance(policy.judge("chat", a_call(), [gone], NOW_S), Hit)


@pytest.mark.parametrize(("asked", "stored"), [("serve", "shadow"), ("shadow", "serve")])
def test_what_only_watches_serves_nothing(asked: str, stored: str) -> None:
    file = "categories:\n  shadow: {examples: [a], mode: shadow}\n  serve: {examples: [b]}"
    policy = compose(loads(file, "f"))
    candidate = replace(a_candidate(0.99), category=stored)
    verdict = policy.judge(asked, a_call(), [candidate], NOW_S)
    assert (verdict.reason, verdict.key) == ("shadow", candidate.key)
    (ready,) = policy.shortlist(asked, a_call(), [candidate], NOW_S).ready
    scored = policy.judge_scored(asked, ready, 0.999)
    assert (scored.reason, scored.key) == ("shadow", candidate.key)


def test_a_calibrated_bar_replaces_the_configured_one_and_the_higher_of_two_holds() -> None:
    policy = compose(loads(FILE, "f"))
    (ready,) = policy.shortlist("chat", a_call(), [a_candidate(0.99)], NOW_S).ready
    stored = replace(ready, candidate=replace(ready.candidate, category="prices"))
    policy.use_bars({"chat": 0.6, "prices": 0.8})
    assert isinstance(
        policy.judge_scored(
            "chat", replace(ready, candidate=replace(ready.candidate, category="chat")), 0.7
        ),
        Hit,
    )
    assert not isinstance(policy.judge_scored("chat", stored, 0.7), Hit)
    assert isinstance(policy.judge_scored("chat", stored, 0.85), Hit)
