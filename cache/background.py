"""Work that nobody waits for: bounded, dropped past the bound, ended with the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .events import Observer
from .fail_open import fail_open

Job = Callable[[], Awaitable[None]]


class Background:
    """Runs jobs in ``workers`` tasks of its own. A failing job is counted under ``stage``.

    Jobs are not finished at the end but cancelled: nothing is lost but what they would have learnt.
    """

    def __init__(self, stage: str, observer: Observer, *, workers: int, limit: int) -> None:
        self._stage = stage
        self._observer = observer
        self._workers = workers
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(limit)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the workers. Needs a running event loop."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]

    def offer(self, job: Job) -> bool:
        """Queue ``job``; False when too many wait, or when nobody works."""
        if not self._tasks or self._jobs.full():
            return False
        self._jobs.put_nowait(job)
        return True

    async def drain(self) -> None:
        """Wait until every job queued so far has ended."""
        await self._jobs.join()

    async def aclose(self) -> None:
        """Cancel what runs, forget what waits, take no more. Safe to call twice."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while not self._jobs.empty():
            self._jobs.get_nowait()
            self._jobs.task_done()

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            try:
                with fail_open(self._observer, self._stage):  # one bad job must not end the worker
                    await job()
            finally:
                self._jobs.task_done()
