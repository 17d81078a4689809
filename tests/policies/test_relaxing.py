"""What load relaxes, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kindcache.policies.facts import Call, Candidate, Directives
from kindcache.policies.guards.signature import signature
from kindcache.policies.policy import Policy
from kindcache.policies.relaxing import longest_ttl_s
from kindcache.policies.verdict import Admit, Hit, Miss, Reason, Relaxed

from .facts import NOW_S, a_call, a_candidate, an_answer, composed

FILE = """
defaults: {similarity_threshold: 0.95, candidate_floor: 0.5, min_probability: 0.92, ttl: 1h}
categories:
  chat:
    similarity_threshold: 0.9
    under_load: {min_probability: 0.82, similarity_threshold: 0.8, ttl: 5h}
  strict: {ttl: 2h}
  calibrated: {max_error_rate: 2%, under_load: {ttl: 2h}}
  rate_only: {under_load: {min_probability: 0.82}}
"""
CALL = a_call()
MODEL = CALL.model


def stored_as(category: str, **changes: Any) -> Candidate:
    return replace(a_candidate(), category=category, **changes)


def under(load: float, text: str = FILE) -> Policy:
    policy = composed(text)
    policy.use_loads({MODEL: load})
    return policy


def scored(policy: Policy, probability: float, asked: str = "chat", stored: str = "chat") -> object:
    near = stored_as(stored, similarity=0.9)
    found = policy.shortlist(asked, CALL, [near], NOW_S)
    return policy.judge_scored(asked, found.ready[0], probability, MODEL)


@pytest.mark.parametrize(
    ("load", "bar"), [(0.0, 0.92), (0.25, 0.895), (0.5, 0.87), (1.0, 0.82), (7.0, 0.82)]
)
def test_the_bar_goes_down_linearly_to_its_floor_and_no_further(load: float, bar: float) -> None:
    policy = under(load)
    assert isinstance(scored(policy, bar + 0.001), Hit)
    assert isinstance(scored(policy, bar - 0.001), Miss)


def test_a_hit_that_rest_would_not_have_made_is_labelled_and_no_other() -> None:
    policy = under(1.0)
    lent, own = scored(policy, 0.85), scored(policy, 0.93)
    assert isinstance(lent, Hit)
    assert isinstance(own, Hit)
    assert lent.relaxed == (Relaxed.PROBABILITY,)
    assert own.relaxed == ()


@pytest.mark.parametrize(("asked", "stored"), [("strict", "chat"), ("chat", "strict")])
def test_both_categories_must_allow_it(asked: str, stored: str) -> None:
    assert isinstance(scored(under(1.0), 0.9, asked, stored), Miss)


def test_categories_that_say_nothing_are_never_relaxed() -> None:
    assert isinstance(scored(under(1.0), 0.9, "strict", "strict"), Miss)


def test_another_model_is_at_rest() -> None:
    policy = composed(FILE)
    policy.use_loads({"another": 1.0})
    assert isinstance(scored(policy, 0.9), Miss)
    assert policy.load(MODEL) == 0.0


def test_load_ends_when_it_is_told_no_more() -> None:
    policy = under(1.0)
    policy.use_loads({})
    assert isinstance(scored(policy, 0.9), Miss)


def test_a_bar_of_evidence_stands_under_any_load() -> None:
    policy = under(1.0)
    policy.use_bars({"calibrated": 0.88})
    assert policy.bar("calibrated", 1.0) == 0.88
    assert isinstance(scored(policy, 0.87, "calibrated", "calibrated"), Miss)


def test_what_evidence_has_closed_stays_closed() -> None:
    policy = under(1.0)
    policy.use_bars({"rate_only": 1.01})
    assert isinstance(scored(policy, 0.999, "rate_only", "rate_only"), Miss)


def test_a_floor_above_the_bar_in_force_changes_nothing() -> None:
    policy = under(1.0)
    policy.use_bars({"chat": 0.7})
    assert policy.bar("chat", 1.0) == 0.7


def test_similarity_alone_is_relaxed_where_no_scorer_decides() -> None:
    near = [stored_as("chat", similarity=0.85)]
    assert isinstance(composed(FILE).judge("chat", CALL, near, NOW_S), Miss)
    hit = under(1.0).judge("chat", CALL, near, NOW_S)
    assert isinstance(hit, Hit)
    assert hit.relaxed == (Relaxed.SIMILARITY,)
    assert hit.threshold == pytest.approx(0.8)


def test_words_that_were_accepted_under_load_are_judged_anew_at_rest() -> None:
    near = stored_as("chat", similarity=0.85)
    policy = under(1.0)
    for probability in (None, 0.85):
        again = policy.judge_again("chat", CALL, near, probability, NOW_S)
        assert isinstance(again, Hit)
        assert again.relaxed
        at_rest = composed(FILE).judge_again("chat", CALL, near, probability, NOW_S)
        assert isinstance(at_rest, Miss)


def aged(policy: Policy, age_s: float, call: Call = CALL) -> Hit | Miss:
    return policy.judge_exact("chat", call, b"k" * 16, NOW_S - age_s, None, NOW_S)


def test_an_answer_lives_longer_and_says_that_it_is_past_its_life() -> None:
    hit = aged(under(0.5), 2 * 3600.0)
    assert isinstance(hit, Hit)
    assert hit.relaxed == (Relaxed.TTL,)
    assert (hit.age_s, hit.ttl_s) == (7200.0, -3600.0)
    assert isinstance(aged(under(0.5), 3.1 * 3600.0), Miss)
    assert isinstance(aged(under(1.0), 4.9 * 3600.0), Hit)
    assert isinstance(aged(under(0.0), 2 * 3600.0), Miss)
    young = aged(under(1.0), 60.0)
    assert isinstance(young, Hit)
    assert (young.relaxed, young.ttl_s) == ((), 3540.0)


@pytest.mark.parametrize(
    "asked",
    [Directives(max_age_s=3600.0), Directives(min_fresh_s=1.0), Directives(min_fresh_s=9.0)],
)
def test_clients_that_bound_the_age_get_no_stretched_answer(asked: Directives) -> None:
    miss = aged(under(1.0), 7200.0, replace(CALL, directives=asked))
    assert isinstance(miss, Miss)
    assert miss.reason is Reason.CLIENT_FRESHNESS


def test_the_bound_of_the_client_that_filled_it_is_not_stretched() -> None:
    policy = under(1.0)
    assert isinstance(
        policy.judge_exact("chat", CALL, b"k" * 16, NOW_S - 700.0, 600.0, NOW_S), Miss
    )


def test_answers_are_kept_for_as_long_as_load_may_need_them() -> None:
    policy = composed(FILE)
    assert longest_ttl_s(policy["chat"]) == 5 * 3600.0
    kept = policy.admit("chat", an_answer(), Directives())
    assert kept == Admit(5 * 3600.0)
    assert policy.admit("strict", an_answer(), Directives()) == Admit(2 * 3600.0)
    assert policy.admit("chat", an_answer(), Directives(ttl_s=60.0)) == Admit(60.0)


def test_what_needs_no_load_is_asked_first() -> None:
    """A hit at rest is the same hit under load: a nearer answer past its life changes nothing."""
    old = stored_as("chat", key=b"old", similarity=0.99, created_s=NOW_S - 2 * 3600.0)
    new = stored_as("chat", key=b"new", similarity=0.93, created_s=NOW_S - 60.0)
    found = under(1.0).shortlist("chat", CALL, [old, new], NOW_S)
    assert [ready.candidate.key for ready in found.ready] == [b"new", b"old"]
    hit = under(1.0).judge("chat", CALL, [old, new], NOW_S)
    assert isinstance(hit, Hit)
    assert (hit.key, hit.relaxed) == (b"new", ())


def test_guards_stand_under_any_load() -> None:
    call = replace(CALL, prompt="What is 2 + 2?")
    near = stored_as(
        "chat",
        similarity=0.99,
        prompt="What is 2 + 3?",
        signature=signature("What is 2 + 3?"),
    )
    assert isinstance(under(1.0).judge("chat", call, [near], NOW_S), Miss)


def test_a_hit_past_its_life_is_labelled_even_if_the_load_ends_while_the_scorer_reads() -> None:
    policy = under(1.0)
    near = stored_as("chat", similarity=0.95, created_s=NOW_S - 7200.0)
    found = policy.shortlist("chat", CALL, [near], NOW_S)
    policy.use_loads({})
    hit = policy.judge_scored("chat", found.ready[0], 0.99, MODEL)
    assert isinstance(hit, Hit)
    assert hit.relaxed == (Relaxed.TTL,)
