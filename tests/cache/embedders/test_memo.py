"""The memo asks once for what it remembers."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

from kindcache.cache.embedders.memo import Memo
from kindcache.cache.errors import EmbedderError
from kindcache.cache.ports import Vector

pytestmark = pytest.mark.anyio


class Counting:
    """An embedder that counts what it is asked; ``long`` does not fit, ``bad`` fails."""

    identity = "counting"
    dim = 384

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = 0

    async def embed(self, text: str) -> Vector | None:
        self.asked.append(text)
        if text == "bad":
            raise EmbedderError("no")
        return None if text == "long" else np.full(self.dim, 0.05, dtype=np.float32)

    async def open(self) -> None:
        pass

    async def aclose(self) -> None:
        self.closed += 1


async def test_a_text_is_encoded_once() -> None:
    inner = Counting()
    memo = Memo(inner, 10)
    first, second = await memo.embed("a"), await memo.embed("a")
    assert first is second is not None
    assert inner.asked == ["a"]
    assert (memo.hits, memo.misses) == (1, 1)


async def test_that_a_text_does_not_fit_is_remembered() -> None:
    inner = Counting()
    memo = Memo(inner, 10)
    assert await memo.embed("long") is None
    assert await memo.embed("long") is None
    assert inner.asked == ["long"]


async def test_failures_are_not_remembered() -> None:
    inner = Counting()
    memo = Memo(inner, 10)
    for _ in range(2):
        with pytest.raises(EmbedderError):
            await memo.embed("bad")
    assert inner.asked == ["bad", "bad"]


async def test_the_least_recently_used_text_goes_first() -> None:
    inner = Counting()
    memo = Memo(inner, 2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await memo.embed(text)
    assert inner.asked == ["a", "b", "c", "b"]
    assert len(memo) == 2


async def test_a_memo_of_nothing_passes_everything_on() -> None:
    inner = Counting()
    memo = Memo(inner, 0)
    await memo.embed("a")
    await memo.embed("a")
    assert inner.asked == ["a", "a"]
    assert len(memo) == 0


async def test_a_remembered_vector_cannot_be_changed() -> None:
    memo = Memo(Counting(), 10)
    vector = await memo.embed("a")
    assert vector is not None
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1.0


async def test_lone_surrogates_are_texts_like_others() -> None:
    inner = Counting()
    memo = Memo(inner, 10)
    await memo.embed("\ud800")
    await memo.embed("\ud801")
    assert inner.asked == ["\ud800", "\ud801"]


async def test_an_entry_costs_what_the_docstring_says() -> None:
    memo = Memo(Counting(), 1000)
    gc.collect()
    tracemalloc.start()
    for n in range(1000):
        await memo._inner.embed("warm")
        await memo.embed(f"{n} {'long text ' * 50}")
    del memo._inner.asked[:]  # type: ignore[attr-defined]
    gc.collect()
    cost = tracemalloc.get_traced_memory()[0] / 1000
    tracemalloc.stop()
    assert 1600 < cost < 2100


async def test_it_stands_for_the_inner_embedder() -> None:
    inner = Counting()
    memo = Memo(inner, 10)
    await memo.open()
    await memo.embed("a")
    assert (memo.identity, memo.dim) == ("counting", 384)
    await memo.aclose()
    assert inner.closed == 1
    assert len(memo) == 0
