"""Does a stored answer answer this call?"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.facts import Candidate, Directives
from kindcache.policies.judge import judge_exact
from kindcache.policies.verdict import Hit, Miss, Reason, Tier

from .facts import NOW_S, a_call, a_candidate, a_policy, directives, judged

OTHER = "how can I not reset my password"  # near, and a guard's business


def test_the_nearest_candidate_is_served() -> None:
    first, second = a_candidate(0.95), a_candidate(0.9)
    verdict = judged(a_policy(), a_call(), [first, second])
    assert verdict == Hit(
        first.key, Tier.SEMANTIC, Reason.SEMANTIC, "help", 0.95, 0.8, age_s=10.0, ttl_s=90.0
    )


@pytest.mark.parametrize(
    "worse",
    [a_candidate(0.95, OTHER), a_candidate(0.95, age_s=100), a_candidate(0.95, ttl_s=10)],
)
def test_one_that_may_not_be_served_does_not_hide_the_next(worse: Candidate) -> None:
    good = a_candidate(0.9)
    verdict = judged(a_policy(), a_call(), [worse, good])
    assert isinstance(verdict, Hit)
    assert verdict.key == good.key


@pytest.mark.parametrize(
    ("candidates", "miss"),
    [
        ([], Miss(Reason.NEW, "help", None, 0.8)),
        ([a_candidate(0.79)], Miss(Reason.BELOW_THRESHOLD, "help", 0.79, 0.8)),
        ([a_candidate(0.9, OTHER)], Miss(Reason.GUARD, "help", 0.9, 0.8)),
        ([a_candidate(0.9, age_s=100)], Miss(Reason.EXPIRED, "help", 0.9, 0.8)),
        # The nearest gives the reason:
        (
            [a_candidate(0.95, age_s=100), a_candidate(0.9, OTHER)],
            Miss(Reason.EXPIRED, "help", 0.95, 0.8),
        ),
        ([a_candidate(0.9, OTHER), a_candidate(0.7)], Miss(Reason.GUARD, "help", 0.9, 0.8)),
        ([a_candidate(math.nan)], Miss(Reason.BELOW_THRESHOLD, "help", math.nan, 0.8)),
    ],
)
def test_misses(candidates: list[Candidate], miss: Miss) -> None:
    verdict = judged(a_policy(), a_call(), candidates)
    assert repr(verdict) == repr(miss)  # NaN is not equal to itself


def test_the_threshold_itself_is_near_enough() -> None:
    assert isinstance(judged(a_policy(), a_call(), [a_candidate(0.8)]), Hit)


def test_guards_can_be_switched_off() -> None:
    policy = a_policy(guards=False)
    assert isinstance(judged(policy, a_call(), [a_candidate(0.9, OTHER)]), Hit)


def test_a_client_that_wants_it_younger_misses() -> None:
    call = a_call(directives=Directives(max_age_s=5))
    assert judged(a_policy(), call, [a_candidate()]) == Miss(
        Reason.CLIENT_FRESHNESS, "help", 0.9, 0.8
    )


@pytest.mark.parametrize(
    ("age_s", "verdict"),
    [
        (40, Hit(b"key", Tier.EXACT, Reason.EXACT, "help", 1.0, 1.0, 40.0, 60.0)),
        (100, Miss(Reason.EXPIRED, "help", 1.0)),
    ],
)
def test_exact(age_s: float, verdict: Hit | Miss) -> None:
    assert judge_exact(a_policy(), a_call(), b"key", NOW_S - age_s, None, NOW_S) == verdict


def test_exact_within_the_bound_of_the_filling_client() -> None:
    verdict = judge_exact(a_policy(), a_call(), b"key", NOW_S - 40, 30.0, NOW_S)
    assert verdict == Miss(Reason.EXPIRED, "help", 1.0)


candidates_of = st.lists(
    st.builds(
        a_candidate,
        st.floats(0.5, 1.0),
        st.sampled_from(["how can I reset my password", OTHER, "reset 2 passwords"]),
        age_s=st.floats(0, 150),
        ttl_s=st.none() | st.floats(1, 200),
    ),
    max_size=4,
).map(lambda found: sorted(found, key=lambda candidate: -candidate.similarity))


def served(call_directives: Directives, candidates: list[Candidate], **policy: float) -> set[bytes]:
    """Return the keys of those that would be served, each judged as if it were alone."""
    call = a_call(directives=call_directives)
    verdicts = (judged(a_policy(**policy), call, [one]) for one in candidates)
    return {verdict.key for verdict in verdicts if isinstance(verdict, Hit)}


@given(candidates_of, directives)
def test_clients_only_tighten(candidates: list[Candidate], asked: Directives) -> None:
    assert served(asked, candidates) <= served(Directives(), candidates)


@given(candidates_of, st.floats(0.5, 1.0), st.floats(1, 200))
def test_a_stricter_policy_serves_less(
    candidates: list[Candidate], threshold: float, ttl_s: float
) -> None:
    strict = {"similarity_threshold": max(0.8, threshold), "ttl_s": min(100.0, ttl_s)}
    assert served(Directives(), candidates, **strict) <= served(Directives(), candidates)


@given(candidates_of, directives)
def test_what_is_served_could_be_served_alone(
    candidates: list[Candidate], asked: Directives
) -> None:
    verdict = judged(a_policy(), a_call(directives=asked), candidates)
    alone = served(asked, candidates)
    assert (verdict.key in alone) if isinstance(verdict, Hit) else not alone
