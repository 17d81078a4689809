"""Names of counters."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.learning.fact import Fact, Sent, day_of, decode, encode, instrument
from kindcache.policies.calibration import Cell
from kindcache.policies.fusion import Fusion
from kindcache.policies.observation import Source
from kindcache.policies.tally import COUNT

from ..small_engine import batcher

cells = st.builds(
    Cell, st.sampled_from(Source), st.integers(0, COUNT), st.booleans(), st.integers(0, COUNT + 1)
)
sent = st.builds(Sent, st.integers(0, COUNT))
facts = st.builds(
    Fact,
    st.integers(0, 99_999),
    st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True),
    cells | sent,
)


@given(facts)
def test_a_name_says_all(fact: Fact) -> None:
    name = encode("0123", fact)
    assert decode("0123", name) == fact
    assert day_of(name) == fact.day
    assert decode("3210", name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0123",
        "0123|5",
        "0123|5|code",
        "0123|x|code|hit|3",
        "0123|5|code|hit|x",
        "0123|5|code|no",
    ],
)
def test_what_is_none_of_ours_is_left_alone(name: str) -> None:
    assert decode("0123", name) is None


@pytest.mark.parametrize("name", ["", "epoch", "a|b|c"])
def test_what_has_no_day_is_never_too_old(name: str) -> None:
    assert day_of(name) is None


class Scorer:
    def __init__(self, identity: str, fusion: Fusion) -> None:
        self.identity = identity
        self.fusion = fusion

    async def score(self, asked: str, stored: str) -> float | None:
        raise NotImplementedError

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...


@pytest.mark.anyio
async def test_an_instrument_is_scorer_fusion_and_embedder() -> None:
    small, large = batcher(HashingEncoder(64)), batcher(HashingEncoder(128))
    await small.open()
    await large.open()
    fusion = Fusion("s", 1.0, 2.0, 3.0)
    names = [
        instrument(Scorer("s", fusion), small),
        instrument(Scorer("t", fusion), small),
        instrument(Scorer("s", replace(fusion, logit=2.5)), small),
        instrument(Scorer("s", fusion), large),
        instrument(None, small),
    ]
    assert len(set(names)) == len(names)
    assert instrument(Scorer("s", Fusion("s", 1.0, 2.0, 3.0)), small) == names[0]
    await small.aclose()
    await large.aclose()
