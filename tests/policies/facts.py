"""Facts with everything filled in; a test names only what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from kindcache.config.load import loads
from kindcache.policies.facts import AnswerFacts, Call, Candidate, Directives
from kindcache.policies.guards.signature import signature
from kindcache.policies.judge import judge
from kindcache.policies.policy import Policy, compose
from kindcache.policies.policy_values import CategoryPolicy
from kindcache.policies.shortlist import Shortlist, shortlist
from kindcache.policies.verdict import Hit, Miss

NOW_S = 1_000_000.0

CALL = Call(
    dialect="openai.chat",
    path="/v1/chat/completions",
    model="m",
    prompt="How do I reset my password?",
    stream=False,
    wants_usage=False,
    frame={},
)
POLICY = CategoryPolicy(
    name="help",
    cache=True,
    semantic=True,
    similarity_threshold=0.8,
    candidate_floor=0.6,
    min_probability=0.9,
    max_error_rate=None,
    shadow=False,
    ttl_s=100.0,
    equivalent_history=False,
    guards=True,
    poisoning_check=True,
    max_temperature=1.0,
    sampled="exact",
    tool_answers=False,
    share_sampled=False,
)
ANSWER = AnswerFacts(
    status=200, complete=True, finish_reasons=("stop",), has_tool_calls=False, size_bytes=10
)


def a_call(**changes: Any) -> Call:
    return replace(CALL, **changes)


def a_policy(**changes: Any) -> CategoryPolicy:
    return replace(POLICY, **changes)


def an_answer(**changes: Any) -> AnswerFacts:
    return replace(ANSWER, **changes)


def a_candidate(
    similarity: float = 0.9,
    prompt: str = "how can I reset my password",
    *,
    age_s: float = 10.0,
    ttl_s: float | None = None,
) -> Candidate:
    return Candidate(
        key=f"{similarity}{prompt}{age_s}".encode(),
        category="help",
        prompt=prompt,
        signature=signature(prompt),
        similarity=similarity,
        created_s=NOW_S - age_s,
        ttl_s=ttl_s,
    )


def composed(text: str) -> Policy:
    return compose(loads(text, "policy.yaml"))


seconds = st.floats(0, 200, allow_nan=False)
bounds = st.none() | seconds
directives = st.builds(
    Directives,
    no_cache=st.booleans(),
    no_store=st.booleans(),
    bypass=st.booleans(),
    only_if_cached=st.booleans(),
    max_age_s=bounds,
    min_fresh_s=bounds,
    max_stale_s=bounds,
    ttl_s=bounds,
)


def short(
    policy: CategoryPolicy, call: Call, candidates: Sequence[Candidate], floor: float
) -> Shortlist:
    """Shorten ``candidates`` under one policy for all of them."""
    return shortlist(lambda _: policy, policy.name, call, candidates, NOW_S, lambda _: floor)


def judged(policy: CategoryPolicy, call: Call, candidates: Sequence[Candidate]) -> Hit | Miss:
    """Judge ``candidates`` by similarity and guards, under one policy for all of them."""
    return judge(short(policy, call, candidates, policy.similarity_threshold))
