"""The worker thread: what is batched, shared, dropped and refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from kindcache.cache.embedders.batching import Batcher
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.errors import EmbedderBusy, EmbedderError, StartupError
from kindcache.cache.ports import Encoded
from tests.drivers.gated import GatedEncoder

pytestmark = pytest.mark.anyio


class Poisoned:
    """Fails for every batch with the text ``poison``, in the way of a foreign library."""

    identity, dim, window = "poisoned", 8, 9

    def encode(self, texts: Sequence[str]) -> Encoded:
        if "poison" in texts:
            raise ValueError(f"cannot read {texts}")
        return HashingEncoder(8, 9).encode(texts)


async def opened(gated: GatedEncoder, *, batch: int = 4, queue: int = 100) -> Batcher:
    batcher = Batcher(lambda: gated, deadline_s=20.0, batch=batch, queue=queue)
    await batcher.open()
    return batcher


async def held(gated: GatedEncoder, batcher: Batcher) -> asyncio.Task[object]:
    """Bring the thread into the middle of an encoding, and return who waits for it."""
    gated.gate.clear()
    first: asyncio.Task[object] = asyncio.create_task(batcher.embed("first"))
    await asyncio.to_thread(gated.entered.acquire)
    return first


async def test_an_idle_thread_takes_a_text_at_once_and_what_queues_up_together() -> None:
    gated = GatedEncoder(HashingEncoder())
    batcher = await opened(gated, batch=4)
    first = await held(gated, batcher)
    others = [asyncio.create_task(batcher.embed(f"text {n}")) for n in range(6)]
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in gated.batches] == [1, 4, 2]
    await batcher.aclose()


async def test_equal_texts_in_flight_are_encoded_once() -> None:
    gated = GatedEncoder(HashingEncoder())
    batcher = await opened(gated)
    first = await held(gated, batcher)
    same = [asyncio.create_task(batcher.embed(text)) for text in ("first", "second", "second")]
    await asyncio.sleep(0)
    gated.gate.set()
    vectors = await asyncio.gather(first, *same)
    assert gated.batches == [["first"], ["second"]]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[2], vectors[3])
    await batcher.aclose()


async def test_past_the_queue_calls_are_refused_and_later_ones_are_not() -> None:
    gated = GatedEncoder(HashingEncoder())
    batcher = await opened(gated, queue=3)
    first = await held(gated, batcher)
    waiting = [asyncio.create_task(batcher.embed(f"text {n}")) for n in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(EmbedderBusy):
        await batcher.embed("one too many")
    gated.gate.set()
    await asyncio.gather(first, *waiting)
    assert await batcher.embed("one too many") is not None
    await batcher.aclose()


async def test_a_stuck_encoder_does_not_let_the_queue_grow() -> None:
    gated = GatedEncoder(HashingEncoder())
    batcher = await opened(gated, queue=3)
    first = await held(gated, batcher)
    for n in range(3):
        gone = asyncio.create_task(batcher.embed(f"text {n}"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    with pytest.raises(EmbedderBusy):
        await batcher.embed("text 3")
    gated.gate.set()
    await first
    await batcher.aclose()


async def test_texts_that_nobody_waits_for_are_not_encoded() -> None:
    gated = GatedEncoder(HashingEncoder())
    batcher = await opened(gated)
    first = await held(gated, batcher)
    gone = asyncio.create_task(batcher.embed("gone"))
    stays = asyncio.create_task(batcher.embed("stays"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    gated.gate.set()
    await asyncio.gather(first, stays)
    assert gated.batches == [["first"], ["stays"]]
    await batcher.aclose()


async def test_a_text_given_up_and_asked_again_is_encoded_again() -> None:
    gated = GatedEncoder(HashingEncoder())
    batcher = await opened(gated)
    first = await held(gated, batcher)
    gone = asyncio.create_task(batcher.embed("again"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    again = asyncio.create_task(batcher.embed("again"))
    await asyncio.sleep(0)
    gated.gate.set()
    await first
    assert await again is not None
    await batcher.aclose()


async def test_a_poison_text_fails_alone_and_is_not_quoted() -> None:
    gated = GatedEncoder(Poisoned())
    batcher = await opened(gated)
    first = await held(gated, batcher)
    texts = ["good", "poison", "fine"]
    tasks = [asyncio.create_task(batcher.embed(text)) for text in texts]
    await asyncio.sleep(0)
    gated.gate.set()
    await first
    good, bad, fine = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(good, np.ndarray)
    assert isinstance(fine, np.ndarray)
    assert isinstance(bad, EmbedderError)
    assert "poison" not in str(bad)
    assert await batcher.embed("afterwards") is not None
    await batcher.aclose()


async def test_a_vector_belongs_to_its_text_and_is_read_only() -> None:
    gated = GatedEncoder(HashingEncoder())
    batcher = await opened(gated, batch=16)
    first = await held(gated, batcher)
    texts = [f"text number {n}" for n in range(20)]
    tasks = [asyncio.create_task(batcher.embed(text)) for text in texts]
    await asyncio.sleep(0)
    gated.gate.set()
    await first
    vectors = await asyncio.gather(*tasks)
    np.testing.assert_array_equal(vectors, HashingEncoder().encode(texts).vectors)
    assert vectors[0] is not None
    assert vectors[0].base is None  # a view would keep the batch alive in the memo
    assert not vectors[0].flags.writeable
    await batcher.aclose()


async def test_what_loading_raises_reaches_open() -> None:
    def load() -> HashingEncoder:
        raise StartupError("no weights")

    batcher = Batcher(load)
    with pytest.raises(StartupError, match="no weights"):
        await batcher.open()
    with pytest.raises(EmbedderError):
        await batcher.embed("text")
    await batcher.aclose()


async def test_loading_happens_outside_the_event_loop() -> None:
    threads = []

    def load() -> HashingEncoder:
        threads.append(threading.current_thread())
        return HashingEncoder()

    batcher = Batcher(load)
    with pytest.raises(EmbedderError):
        await batcher.embed("too early")
    await asyncio.gather(batcher.open(), batcher.open())
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    assert (batcher.identity, batcher.dim) == ("hashing/1/384", 384)
    await batcher.aclose()
    assert not threads[0].is_alive()


async def test_closing_while_loading_ends_the_thread() -> None:
    gate, entered = threading.Event(), threading.Event()

    def load() -> HashingEncoder:
        entered.set()
        assert gate.wait(20.0)
        return HashingEncoder()

    batcher = Batcher(load)
    opening = asyncio.create_task(batcher.open())
    await asyncio.to_thread(entered.wait)
    closing = asyncio.create_task(batcher.aclose())
    await asyncio.sleep(0)
    gate.set()
    await closing
    await asyncio.gather(opening, return_exceptions=True)
    with pytest.raises(EmbedderError):
        await batcher.embed("text")
