"""Fill a snapshot of CacheLLM's memory store with its own code.

    python cachellm_fill.py --fill prompts.json

The snapshot must hold one entry that the proxy stored; the others are that entry with another
prompt, its key and its vector, as the proxy would have made them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import replace
from pathlib import Path

from cachellm.cache.keys import embedding_text, entry_id, exact_hash
from cachellm.cache.memory import MemoryVectorStore
from cachellm.embeddings.fastembed_backend import FastEmbedEmbedder
from cachellm.settings import get_settings

BATCH = 64


async def fill(prompts: list[str]) -> None:
    """Add ``prompts`` to the snapshot that the settings name."""
    settings = get_settings()
    store = MemoryVectorStore(settings)
    await store.connect()
    (key, *_) = await store.scan_keys()
    sample = await store.get(key.removeprefix(settings.entry_prefix))
    assert sample is not None, "the proxy stored one"
    embedder = FastEmbedEmbedder(settings.embedding_model, settings.expected_dim(), cache_size=0)
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        texts = [embedding_text(prompt, strip_fillers=False) for prompt in batch]
        vectors = await embedder.embed_batch(texts)
        for prompt, vector in zip(batch, vectors, strict=True):
            exact = exact_hash(prompt)
            name = entry_id(sample.namespace, exact)
            entry = replace(
                sample, entry_id=name, prompt=prompt, exact_hash=exact, embedding=vector
            )
            await store.put(entry)
    await store.close()


def main() -> None:
    """Fill."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fill", type=Path, required=True, help="a JSON list of prompts")
    options = parser.parse_args()
    asyncio.run(fill(json.loads(options.fill.read_text())))


if __name__ == "__main__":
    main()
