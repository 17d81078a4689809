"""Answers compared by similarity: whole, in parts, and what no similarity outweighs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.cache.embedders.batching import Batcher
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.errors import JudgeError
from kindcache.cache.learning.answer_similarity import (
    MOST_PARTS,
    PART_CHARS,
    SimilarityJudge,
    parts,
)
from tests.cache.small_engine import batcher

pytestmark = pytest.mark.anyio

OPENING = "There are several things to know about this. " * 12  # nearly one part
ABOUT = {
    name: f"{OPENING}{text}"
    for name, text in {
        "return": "Send the parcel back within a month and we refund the price to your card. " * 6,
        "battery": "Charge it overnight, then hold both volume keys until the lamp blinks red. "
        * 6,
    }.items()
}


@pytest.fixture
async def embedder() -> AsyncIterator[Batcher]:
    embedder = batcher(HashingEncoder(384, window=256))
    await embedder.open()
    yield embedder
    await embedder.aclose()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The capital is Paris.", "The capital is Paris", True),
        ("The capital is Paris.", "Take the bus to the station.", False),
        ("You have 30 days to return it.", "You have 90 days to return it.", False),
        ("Yes, you can return it there.", "No, you can return it there.", False),
        ("  The same. ", "The same.", True),
    ],
)
async def test_short_answers(one: str, other: str, *, same: bool, embedder: Batcher) -> None:
    judge = SimilarityJudge(embedder, 0.8)
    assert await judge.same("?", one, other) is same
    assert await judge.same("?", other, one) is same


async def test_long_answers_that_only_open_alike_are_not_the_same(embedder: Batcher) -> None:
    judge = SimilarityJudge(embedder, 0.9)
    assert await judge.same("?", ABOUT["return"], ABOUT["battery"]) is False
    assert await judge.same("?", ABOUT["return"], ABOUT["return"] + " Thank you.") is True


async def test_half_of_an_answer_is_not_the_same_as_all_of_it(embedder: Batcher) -> None:
    judge = SimilarityJudge(embedder, 0.9)
    both = f"{ABOUT['return']}\n{ABOUT['battery']}"
    assert await judge.same("?", both, ABOUT["return"]) is False


@pytest.mark.parametrize("other", ["", "word " * PART_CHARS * MOST_PARTS, "w " * (PART_CHARS // 2)])
async def test_it_cannot_say_of_what_it_cannot_read(other: str, embedder: Batcher) -> None:
    judge = SimilarityJudge(embedder, 0.5)
    assert await judge.same("?", "An answer.", other) is None
    assert await judge.same("?", other, "An answer.") is None


async def test_an_embedder_that_fails_is_an_error_of_the_judge() -> None:
    judge = SimilarityJudge(batcher(), 0.5)  # never opened
    with pytest.raises(JudgeError):
        await judge.same("?", "one", "other")


@given(st.text(alphabet="ab .\n!", max_size=3000))
def test_parts_are_short_and_hold_all_of_the_text(text: str) -> None:
    cut = parts(text)
    assert all(len(part) <= PART_CHARS for part in cut)
    assert "".join("".join(cut).split()) == "".join(text.split())
