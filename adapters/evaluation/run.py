"""An evaluation from the command line: settings, a cache of its own, the protocol."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...cache.stores.memory import MemoryStore
from ...config.load import default_path, load
from ...config.settings import Settings
from ..asgi import Receive, Scope, Send
from ..build import Service, build
from .engine_asker import EngineAsker
from .evaluate import EvaluateOptions, evaluate


async def run(options: EvaluateOptions) -> int:
    """Evaluate with the serving code over a memory store; return the exit code."""
    async with in_memory(load(options.config or default_path())) as service:
        return await evaluate(EngineAsker(service.engine), options)


@asynccontextmanager
async def in_memory(settings: Settings) -> AsyncIterator[Service]:
    """Run the cache that ``settings`` describe, over a memory store instead of theirs."""
    store = settings.store.model_copy(update={"url": "memory://"})
    service = build(
        settings.model_copy(update={"store": store}),
        _nobody,
        upstream="evaluation",
        report=lambda line: print(f"kindcache: {line}", file=sys.stderr),
        store=MemoryStore(clock=time.time),
    )
    await service.lifecycle.open()
    try:
        yield service
    finally:
        await service.lifecycle.aclose()


async def _nobody(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("an evaluation asks no model")
