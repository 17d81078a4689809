"""Builds and compacts the graphs of indexes in a thread, one at a time; they serve meanwhile."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from ..events import Observer
from ..fail_open import fail_open
from ..giving_way import NOBODY_WAITS, give_way
from .heap import give_back
from .table import Table

TICK_S = 1.0


async def keep_building(table: Table, observer: Observer) -> NoReturn:
    """Build whatever is due, until cancelled."""
    thread = ThreadPoolExecutor(1, "kindcache-index", give_way, (NOBODY_WAITS,))
    loop = asyncio.get_running_loop()
    freed_much = True  # by the load
    try:
        while True:
            freed_much |= await _build_what_is_due(table, observer, thread)
            if freed_much:
                await loop.run_in_executor(thread, give_back)
                freed_much = False
            await asyncio.sleep(TICK_S)
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


async def _build_what_is_due(table: Table, observer: Observer, thread: ThreadPoolExecutor) -> bool:
    loop = asyncio.get_running_loop()
    built = False
    for index in table.indexes():
        while (build := index.next_build()) is not None:
            try:
                with fail_open(observer, "index.build"):
                    await loop.run_in_executor(thread, build.run)
            except BaseException:
                build.cancel()
                raise
            finally:
                index.finish_build(build)
            built = True
    return built
