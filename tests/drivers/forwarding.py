"""The app that forwards to an upstream, driven without a server in front."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kindcache.adapters.upstream.app import UpstreamApp

from .asgi import AsgiDriver


@asynccontextmanager
async def forwarding(base_url: str, **options: Any) -> AsyncIterator[AsgiDriver]:
    """Run an UpstreamApp, and see to it that it leaves no task behind."""
    before = asyncio.all_tasks()
    async with AsgiDriver(UpstreamApp(base_url, **options)) as driver:
        yield driver
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before
