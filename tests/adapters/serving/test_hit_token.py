"""Tokens say what they were made of, and nobody else can make one."""

from __future__ import annotations

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.adapters.serving.hit_token import BadToken, HitTokens
from kindcache.cache.asking.fingerprint import Ask
from kindcache.cache.asking.scope import Principal, Scope, Scoping
from kindcache.cache.entries.entry import Answer, Payload
from kindcache.cache.events import Trace
from kindcache.cache.learning.blocked import pair
from kindcache.cache.outcome import Found
from kindcache.cache.ports import EntryKey, PartitionKey
from kindcache.policies.facts import Call, Origin
from kindcache.policies.verdict import Hit, Reason, Tier

NOW_S = 1_700_000_000.9
SCOPING = Scoping(
    b"a secret of the tests", "credential", share_anonymous=False, upstream="u", namespace="n"
)
TOKENS = HitTokens(SCOPING)
ALPHABET = set((string.ascii_letters + string.digits + "-_").encode())


def found(
    tier: Tier, *, category: str = "support", probability: float | None = None, prompt: str = "Hi?"
) -> Found:
    call = Call("openai.chat", "/v1", "m", prompt, stream=False, wants_usage=False, frame={})
    place = PartitionKey(b"l" * 16)
    ask = Ask(call, Origin(), Principal(b"p" * 16), Scope(b"s" * 16), place, EntryKey(b"k" * 16))
    hit = Hit(b"e" * 16, tier, Reason.SEMANTIC, category, 0.91, 0.7, 3.0, 9.0, probability)
    kept = Payload(Answer("m", 1, ()), category, "Hello", NOW_S - 3.25, "openai.chat")
    return Found(hit, kept, Trace(), ask)


def read(token: bytes) -> object:
    return TOKENS.read(token.decode())


def test_a_semantic_hit_is_read_as_it_was() -> None:
    outcome = found(Tier.SEMANTIC, probability=0.9876)
    hit = TOKENS.read(TOKENS.make(outcome, NOW_S).decode())
    assert (hit.principal, hit.entry, hit.category) == (b"p" * 16, b"e" * 16, "support")
    assert (hit.created_s, hit.issued_s) == (NOW_S - 3.25, 1_700_000_000)
    assert hit.pair == pair(outcome.ask, "Hello")
    assert hit.probability == 0.9876


def test_an_exact_hit_names_no_pair() -> None:
    assert TOKENS.read(TOKENS.make(found(Tier.EXACT), NOW_S).decode()).pair is None


def test_where_no_scorer_decides_the_similarity_stands_in() -> None:
    assert TOKENS.read(TOKENS.make(found(Tier.SEMANTIC), NOW_S).decode()).probability == 0.91


def test_it_is_short_fits_a_header_and_holds_no_prompt() -> None:
    prompt = "my secret question " * 50
    token = TOKENS.make(found(Tier.SEMANTIC, category="c" * 64, prompt=prompt), NOW_S)
    assert set(token) <= ALPHABET
    assert len(token) < 300
    assert b"secret" not in urlsafe_b64decode(token + b"==")


@pytest.mark.parametrize(
    "other", [{"secret": b"another secret"}, {"upstream": "other"}, {"namespace": "other"}]
)
def test_another_cache_reads_nothing(other: Any) -> None:
    token = TOKENS.make(found(Tier.EXACT), NOW_S).decode()
    assert HitTokens(SCOPING).read(token) == TOKENS.read(token)
    with pytest.raises(BadToken):
        HitTokens(replace(SCOPING, **other)).read(token)


@pytest.mark.parametrize("position", range(0, 80, 3))
def test_a_changed_byte_makes_it_worthless(position: int) -> None:
    data = bytearray(urlsafe_b64decode(TOKENS.make(found(Tier.EXACT), NOW_S) + b"=="))
    data[position] ^= 1
    with pytest.raises(BadToken):
        read(urlsafe_b64encode(data))


@given(st.text(max_size=300))
def test_no_text_is_taken_for_a_token(text: str) -> None:
    with pytest.raises(BadToken):
        TOKENS.read(text)
