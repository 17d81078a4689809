"""The shipped policies on labelled pairs: how much is served, and how much of it wrongly."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.build import build
from kindcache.adapters.evaluation.data import load_pairs
from kindcache.adapters.evaluation.engine_asker import EngineAsker
from kindcache.adapters.evaluation.pairs import PairReport, run_pairs
from kindcache.cache.stores.memory import MemoryStore
from kindcache.config.load import default_path, load

pytestmark = [pytest.mark.anyio, pytest.mark.evaldata]


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("an evaluation asks no model")


async def measured(name: str) -> PairReport:
    settings = load(default_path())
    store = settings.store.model_copy(update={"url": "memory://"})
    service = build(
        settings.model_copy(update={"store": store}),
        nobody,
        upstream="evaluation",
        store=MemoryStore(time.time),
    )
    path = Path(os.environ["KINDCACHE_EVALDATA"]) / "pairs" / f"{name}.jsonl"
    await service.lifecycle.open()
    try:
        return await run_pairs(EngineAsker(service.engine), load_pairs(path), source=name)
    finally:
        await service.lifecycle.aclose()


# Bounds with room for another machine's int8 kernels, not goals; docs/evaluation.md has the
# figures. Of wrong answers the interval's lower end counts: small sets prove little.
@pytest.mark.parametrize(
    ("name", "least_recall", "most_wrong"),
    [
        ("fow_cache", 0.28, 0.02),
        ("redis_langcache", 0.32, 0.02),
        ("banking_traps", 0.2, 0.02),
        ("finance_traps", 0.0, 0.02),
    ],
)
async def test_traps_are_not_served_and_rewordings_are(
    name: str, least_recall: float, most_wrong: float
) -> None:
    figures = (await measured(name)).overall
    assert figures.wrong.interval[0] <= most_wrong
    if figures.recall.value is not None:
        assert figures.recall.value >= least_recall
