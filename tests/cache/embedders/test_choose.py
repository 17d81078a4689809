"""The settings choose the embedder."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kindcache.cache.embedders.choose import choose
from kindcache.cache.embedders.memo import Memo
from kindcache.cache.embedders.remote import RemoteEmbedder
from kindcache.cache.errors import StartupError
from kindcache.config.service_settings import EmbedderSettings
from tests.drivers import models
from tests.drivers.embedding_server import EmbeddingServer

pytestmark = pytest.mark.anyio

HEAVY = """
import sys
import kindcache.cache.embedders.choose
print(sorted({"onnxruntime", "tokenizers", "torch", "sentence_transformers", "aiohttp", "pydantic"}
             & set(sys.modules)))
"""


async def test_hashing_with_its_dimensions_and_window() -> None:
    embedder = choose(EmbedderSettings(runtime="hashing", dimensions=32, window=3), "", print)
    await embedder.open()
    assert embedder.dim == 32
    assert await embedder.embed("one two three") is not None
    assert await embedder.embed("one two three four") is None
    await embedder.aclose()


async def test_the_default_is_the_int8_model_with_a_memo() -> None:
    embedder = choose(EmbedderSettings(artefacts=str(models.artefacts())), "", print)
    await embedder.open()
    assert isinstance(embedder, Memo)
    assert embedder.identity.startswith("all-MiniLM-L6-v2/onnx-int")
    assert await embedder.embed("a text") is await embedder.embed("a text")
    await embedder.aclose()


async def test_remote_with_its_key() -> None:
    server = EmbeddingServer(dim=8)
    await server.start()
    settings = EmbedderSettings(
        runtime="remote", model="hashed", url=server.url, dimensions=8, window=100
    )
    embedder = choose(settings, "sk-key", print)
    await embedder.open()
    assert await embedder.embed("a text") is not None
    assert server.keys == ["Bearer sk-key"]
    await embedder.aclose()
    await server.stop()


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        (EmbedderSettings(runtime="remote", window=100), "embedder.url"),
        (EmbedderSettings(runtime="remote", url="http://localhost:8000/v1"), "embedder.window"),
    ],
)
def test_remote_says_what_it_needs(settings: EmbedderSettings, missing: str) -> None:
    with pytest.raises(StartupError, match=missing):
        choose(settings, "", print)


def test_choosing_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", HEAVY], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_remote_takes_its_bounds_from_the_settings() -> None:
    settings = EmbedderSettings(runtime="remote", url="http://a/v1", window=7, memo=0)
    embedder = choose(settings, "", print)
    assert isinstance(embedder, Memo)
    assert isinstance(embedder._inner, RemoteEmbedder)
    assert embedder._inner.window == 7
