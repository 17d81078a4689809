"""How long an answer lives under a category's policy."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.facts import NO_DIRECTIVES
from kindcache.policies.freshness import Fresh
from kindcache.policies.lifespan import Lifespan, lifespan, retention_s, still_good
from kindcache.policies.policy_values import Floors
from kindcache.policies.reach import stricter
from kindcache.policies.verdict import Reason

from .facts import NOW_S, a_policy

KEY = b"a key of sixteen"
NOW = "What is the latest version?"
EVER = "How do I reverse a list?"

keys = st.binary(min_size=16, max_size=16)


def key(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


@given(keys, st.floats(0, 0.5))
def test_jitter_shortens_a_life_by_its_share_at_most_and_always_alike(
    drawn: bytes, jitter: float
) -> None:
    policy = a_policy(ttl_jitter=jitter)
    life = lifespan(policy, drawn, NOW_S, EVER)
    assert life is not None
    assert 100.0 * (1 - jitter) <= life.ttl_s <= 100.0
    assert life == lifespan(policy, drawn, NOW_S + 5, EVER)


def test_jitter_spreads_the_ends() -> None:
    policy = a_policy(ttl_jitter=0.5)
    lives = [lifespan(policy, key(n), NOW_S, EVER) for n in range(1000)]
    ends = sorted(life.ttl_s for life in lives if life is not None)
    assert ends[0] < 52 and ends[-1] > 98  # noqa: PT018
    in_each_tenth = [sum(50 + 5 * n <= end < 55 + 5 * n for end in ends) for n in range(10)]
    assert min(in_each_tenth) > 60


@pytest.mark.parametrize(
    ("words", "prompts", "expected"),
    [
        ("ignore", (NOW, NOW), Lifespan(100.0, 5.0, 30.0)),
        ("shorten", (EVER, EVER), Lifespan(100.0, 5.0, 30.0)),
        ("shorten", (NOW, EVER), Lifespan(20.0)),
        ("shorten", (EVER, NOW), Lifespan(20.0)),
        ("bar", (EVER,), Lifespan(100.0, 5.0, 30.0)),
        ("bar", (NOW,), None),
        ("bar", (EVER, NOW), None),
    ],
)
def test_time_words_shorten_or_bar(
    words: str, prompts: tuple[str, ...], expected: Lifespan | None
) -> None:
    policy = a_policy(
        time_words=words, time_words_ttl_s=20.0, stretch_s=5.0, stale_while_revalidate_s=30.0
    )
    assert lifespan(policy, KEY, NOW_S, *prompts) == expected


@pytest.mark.parametrize(
    ("age_s", "outcome"),
    [
        (99.0, Fresh(99.0, 1.0)),
        (104.0, Fresh(104.0, -4.0)),  # load alone lets it live on: nothing to refresh
        (105.0, Fresh(105.0, -5.0, stale=True)),
        (134.0, Fresh(134.0, -34.0, stale=True)),
        (135.0, Reason.EXPIRED),
    ],
)
def test_it_is_fresh_then_stretched_then_stale_then_gone(
    age_s: float, outcome: Fresh | Reason
) -> None:
    policy = a_policy(stretch_s=5.0, stale_while_revalidate_s=30.0)
    created_s = NOW_S - age_s
    found = still_good(policy, KEY, created_s, None, NO_DIRECTIVES, NOW_S, EVER)
    assert found == outcome


def test_a_barred_prompt_is_a_miss_with_its_own_reason() -> None:
    policy = a_policy(time_words="bar")
    found = still_good(policy, KEY, NOW_S, None, NO_DIRECTIVES, NOW_S, NOW)
    assert found is Reason.TIME_WORDS


@pytest.mark.parametrize(
    ("prompt", "changes", "expected_s"),
    [
        (EVER, {}, 100.0),
        (EVER, {"stale_while_revalidate_s": 30.0}, 130.0),
        (EVER, {"stale_while_revalidate_s": 30.0, "stale_if_error_s": 50.0}, 150.0),
        (EVER, {"under_load": Floors(ttl_s=400.0), "stale_if_error_s": 50.0}, 450.0),
        (NOW, {"time_words": "shorten", "time_words_ttl_s": 20.0, "stale_if_error_s": 50.0}, 20.0),
        (NOW, {"time_words": "bar"}, 0.0),
    ],
)
def test_an_answer_is_kept_as_long_as_it_is_of_use(
    prompt: str, changes: dict[str, object], expected_s: float
) -> None:
    assert retention_s(a_policy(**changes), KEY, NOW_S, prompt) == expected_s


@given(
    keys,
    st.floats(0, 0.5),
    st.sampled_from(["ignore", "shorten", "bar"]),
    st.floats(1, 500),
    st.floats(0, 500),
    st.floats(0, 600),
)
def test_nothing_is_served_that_is_no_longer_kept(
    drawn: bytes, jitter: float, words: str, short_s: float, stale_s: float, age_s: float
) -> None:
    policy = a_policy(
        ttl_jitter=jitter,
        time_words=words,
        time_words_ttl_s=short_s,
        stale_while_revalidate_s=stale_s,
    )
    created_s = NOW_S - age_s
    for prompt in (NOW, EVER):
        found = still_good(policy, drawn, created_s, None, NO_DIRECTIVES, NOW_S, prompt)
        kept_s = retention_s(policy, drawn, created_s, prompt)
        assert isinstance(found, Reason) or NOW_S - created_s < kept_s


def test_of_two_policies_the_stricter_holds() -> None:
    loose = a_policy(stale_while_revalidate_s=50.0, stale_if_error_s=9.0)
    strict = a_policy(
        name="other", ttl_jitter=0.1, time_words="bar", time_words_ttl_s=5.0, stale_if_error_s=3.0
    )
    for both in (stricter(loose, strict), stricter(strict, loose)):
        assert (both.ttl_jitter, both.time_words, both.time_words_ttl_s) == (0.1, "bar", 5.0)
        assert (both.stale_while_revalidate_s, both.stale_if_error_s) == (0.0, 3.0)
