"""What every embedder promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import numpy as np
import pytest

from kindcache.cache.embedders.batching import Batcher
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.embedders.memo import Memo
from kindcache.cache.embedders.remote import RemoteEmbedder
from kindcache.cache.errors import EmbedderError, EmbedderTimeout
from kindcache.cache.ports import Embedder, Encoder, Vector
from tests.drivers import models
from tests.drivers.embedding_server import EmbeddingServer
from tests.drivers.gated import GatedEncoder

pytestmark = pytest.mark.anyio

PATIENT_S = 30.0
PROMPT = "How do I cancel my order and get a refund?"


class Kind(Protocol):
    """How the suite makes embedders of one kind, and makes them slow."""

    async def make(self, deadline_s: float = PATIENT_S) -> Embedder: ...
    def hold(self) -> None: ...
    async def held(self) -> None: ...
    def release(self) -> None: ...
    async def aclose(self) -> None: ...


class Local:
    def __init__(self, encoder: Encoder, batch: int, *, memo: bool = False) -> None:
        self.encoder = GatedEncoder(encoder)
        self.batch = batch
        self.memo = memo
        self.made: list[Embedder] = []

    async def make(self, deadline_s: float = PATIENT_S) -> Embedder:
        embedder: Embedder = Batcher(lambda: self.encoder, deadline_s=deadline_s, batch=self.batch)
        embedder = Memo(embedder, 1000) if self.memo else embedder
        self.made.append(embedder)
        await embedder.open()
        return embedder

    def hold(self) -> None:
        self.encoder.gate.clear()

    async def held(self) -> None:
        await asyncio.to_thread(self.encoder.entered.acquire)

    def release(self) -> None:
        self.encoder.gate.set()

    async def aclose(self) -> None:
        self.release()
        for embedder in self.made:
            await embedder.aclose()


class Remote:
    def __init__(self) -> None:
        self.server = EmbeddingServer()
        self.made: list[Embedder] = []

    async def make(self, deadline_s: float = PATIENT_S) -> Embedder:
        if not self.server.url:
            await self.server.start()
        embedder = RemoteEmbedder(
            self.server.url, "hashed", dim=64, window=256, deadline_s=deadline_s
        )
        self.made.append(embedder)
        await embedder.open()
        return embedder

    def hold(self) -> None:
        self.server.gate.clear()

    async def held(self) -> None:
        await self.server.entered.acquire()

    def release(self) -> None:
        self.server.gate.set()

    async def aclose(self) -> None:
        self.release()
        for embedder in self.made:
            await embedder.aclose()
        await self.server.stop()


@pytest.fixture(params=["hashing", "memo", "onnx-int8", "sentence-transformers", "remote"])
async def kind(request: pytest.FixtureRequest) -> AsyncIterator[Kind]:
    made: Kind
    match request.param:
        case "hashing":
            made = Local(HashingEncoder(), 16)
        case "memo":
            made = Local(HashingEncoder(), 16, memo=True)
        case "onnx-int8":
            made = Local(models.onnx_int8(), 1)
        case "sentence-transformers":
            made = Local(models.sentence(), 16)
        case _:
            made = Remote()
    yield made
    await made.aclose()


async def test_a_vector_is_float32_of_length_one(kind: Kind) -> None:
    embedder = await kind.make()
    vector = await embedder.embed(PROMPT)
    assert vector is not None
    assert vector.shape == (embedder.dim,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


async def test_equal_texts_have_equal_vectors(kind: Kind) -> None:
    one, two = await kind.make(), await kind.make()
    assert one.identity == two.identity != ""
    first, again, other = await one.embed(PROMPT), await one.embed(PROMPT), await two.embed(PROMPT)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, other)


async def test_near_texts_are_nearer_than_others(kind: Kind) -> None:
    embedder = await kind.make()
    texts = [PROMPT, "How can I cancel my order and get a refund?", "Write a poem about snow."]
    a, b, c = [await embedder.embed(text) for text in texts]
    assert a is not None
    assert b is not None
    assert c is not None
    assert float(a @ b) > 0.7 > float(a @ c)


async def test_a_text_over_the_window_has_no_vector(kind: Kind) -> None:
    embedder = await kind.make()
    assert await embedder.embed("word " * 100) is not None
    assert await embedder.embed("word " * 300) is None


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
async def test_a_text_without_words_has_no_vector(kind: Kind, text: str) -> None:
    embedder = await kind.make()
    assert await embedder.embed(text) is None


@pytest.mark.parametrize(
    "text", ["Wie heißt die Hauptstadt von Österreich?", "Сколько стоит доставка?", "naïve café"]
)
async def test_other_scripts_have_vectors(kind: Kind, text: str) -> None:
    embedder = await kind.make()
    vector = await embedder.embed(text)
    assert vector is not None
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    "text",
    ["\ud800 lone surrogate", "\x00", "a\x00b", "x" * 1_000_000, "word " * 200_000, "🍎" * 5000],
    ids=["surrogate", "nul", "nul-inside", "long-word", "many-words", "emoji"],
)
async def test_a_bad_text_harms_nobody(kind: Kind, text: str) -> None:
    embedder = await kind.make()
    bad = asyncio.create_task(_vector_or_error(embedder, text))
    good = await asyncio.gather(*(embedder.embed(f"{PROMPT} {n}") for n in range(5)))
    assert all(vector is not None for vector in good)
    outcome = await bad
    assert outcome is None or np.isfinite(outcome).all()
    assert await embedder.embed(PROMPT) is not None


async def test_a_hundred_texts_at_once_get_their_own_vectors(kind: Kind) -> None:
    embedder = await kind.make()
    texts = [f"{PROMPT} My number is {n} {'please ' * (n % 9)}" for n in range(100)]
    together = await asyncio.gather(*(embedder.embed(text) for text in texts))
    for text, vector in list(zip(texts, together, strict=True))[::9]:
        alone = await (await kind.make()).embed(text)
        assert alone is not None
        assert vector is not None
        assert float(alone @ vector) >= 0.9999


async def test_a_late_vector_is_a_timeout_and_the_next_call_works(kind: Kind) -> None:
    embedder = await kind.make(deadline_s=0.05)
    kind.hold()
    with pytest.raises(EmbedderTimeout):
        await embedder.embed(PROMPT)
    kind.release()
    patient = await kind.make()
    assert await patient.embed(PROMPT) is not None


async def test_a_cancelled_call_leaves_the_others_alone(kind: Kind) -> None:
    embedder = await kind.make()
    kind.hold()
    gone = asyncio.create_task(embedder.embed(PROMPT))
    await kind.held()
    stays = asyncio.create_task(embedder.embed(PROMPT))
    other = asyncio.create_task(embedder.embed("Another question altogether"))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    kind.release()
    assert await stays is not None
    assert await other is not None


async def test_closing_ends_the_waiting(kind: Kind) -> None:
    embedder = await kind.make()
    kind.hold()
    waiting = asyncio.create_task(embedder.embed(PROMPT))
    await kind.held()
    closing = asyncio.create_task(embedder.aclose())
    with pytest.raises(EmbedderError):
        await waiting
    kind.release()
    await closing


async def test_closing_twice_is_allowed_and_final(kind: Kind) -> None:
    embedder = await kind.make()
    await embedder.aclose()
    await embedder.aclose()
    with pytest.raises(EmbedderError):
        await embedder.embed(PROMPT)


async def _vector_or_error(embedder: Embedder, text: str) -> Vector | None:
    try:
        return await embedder.embed(text)
    except EmbedderError:
        return None
