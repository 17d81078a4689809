"""Keeps workers running: starts them, starts again who dies, and ends all of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from .process import WorkerProcess

Start = Callable[[int], Awaitable[WorkerProcess]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long workers are waited for, in seconds, and how often one may die at once."""

    first_pause_s: float = 0.25  # doubled with each death at once
    longest_pause_s: float = 30.0
    steady_s: float = 5.0  # who was ready and lived so long did not die at once
    most_deaths: int = 5  # in a row, while no other worker is ready
    # Answers under way 10, then evidence, ledgers and writes 5 each, and a snapshot 20.
    ending_s: float = 45.0


class GaveUp(Exception):
    """Workers die as soon as they are started."""


class Keeper:
    """Keeps ``count`` workers running until ``stop``. ``tell`` gets lines for a person."""

    def __init__(
        self, start: Start, count: int, tell: Callable[[str], None], patience: Patience
    ) -> None:
        self._start = start
        self._count = count
        self._tell = tell
        self._patience = patience
        self._workers: dict[int, WorkerProcess] = {}
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._changed = asyncio.Event()  # somebody is ready, or has ended
        self._been_ready: set[int] = set()
        self._reloads = 0

    def stop(self) -> None:
        """End all workers; asked again, at once."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()
        self._changed.set()

    def reload(self) -> None:
        """Have every worker read the policy anew."""
        self._reloads += 1
        for worker in self._workers.values():
            if worker.is_ready:  # before, SIGHUP would end it
                worker.signal(signal.SIGHUP)

    async def run(self, all_ready: Callable[[], None]) -> None:
        """Keep workers running until stopped; ``all_ready`` is called once. Raises ``GaveUp``.

        The first is ready before the others start: whatever is made once is made by it.
        """
        keeping: list[asyncio.Task[None]] = []
        try:
            for numbers in (range(1), range(1, self._count)):
                keeping += [asyncio.create_task(self._keep(number)) for number in numbers]
                await self._until_ready(keeping)
            if not self._stopping.is_set() and not _failed(keeping):
                all_ready()
            while not self._stopping.is_set() and not _failed(keeping):
                await self._change()
        finally:
            self._stopping.set()
            await self._end(keeping)
        for task in keeping:
            task.result()

    async def _until_ready(self, keeping: list[asyncio.Task[None]]) -> None:
        while not self._stopping.is_set() and not _failed(keeping):
            ready = [number for number, worker in self._workers.items() if worker.is_ready]
            if len(ready) >= len(keeping):
                return
            await self._change()

    async def _change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def _keep(self, number: int) -> None:
        deaths = 0
        try:
            while not self._stopping.is_set():
                reloads = self._reloads
                worker = self._workers[number] = await self._start(number)
                worker.when_ready.append(partial(self._is_ready, number, worker, reloads))
                if self._stopping.is_set():
                    worker.signal(signal.SIGTERM)
                was_steady = await self._has_ended(worker, number)
                deaths = 0 if was_steady else deaths + 1
                if not self._stopping.is_set():
                    await self._pause(number, deaths)
        finally:
            self._changed.set()

    def _is_ready(self, number: int, worker: WorkerProcess, reloads: int) -> None:
        if number in self._been_ready:
            self._tell(f"worker {number} is ready again")
        self._been_ready.add(number)
        if reloads != self._reloads:  # it may have read what was there before
            worker.signal(signal.SIGHUP)
        self._changed.set()

    async def _has_ended(self, worker: WorkerProcess, number: int) -> bool:
        """Wait for its end, and say whether it had been well."""
        code = await worker.ended()
        was_ready = worker.has_been_ready
        self._changed.set()
        if self._stopping.is_set():
            return True
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._tell(f"worker {number} ended after {worker.lived_s:.1f} s ({how})")
        if code > 0 and not self._been_ready:
            raise GaveUp(f"worker {number} could not start ({how}); its own message is above")
        return was_ready and worker.lived_s >= self._patience.steady_s

    async def _pause(self, number: int, deaths: int) -> None:
        patience = self._patience
        if deaths > patience.most_deaths and not self._any_ready():
            raise GaveUp(f"worker {number} died {deaths} times in a row, and no other is running")
        pause_s = 0.0
        if deaths:
            doubled = 2.0 ** min(deaths - 1, 30)
            pause_s = min(patience.first_pause_s * doubled, patience.longest_pause_s)
        self._tell(f"worker {number} is started again in {pause_s:g} s")
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()

    def _any_ready(self) -> bool:
        return any(worker.is_ready for worker in self._workers.values())

    async def _end(self, keeping: list[asyncio.Task[None]]) -> None:
        """Ask all to end; who does not in time, or when we are in a hurry, is killed."""
        self._send(signal.SIGTERM)
        ending = asyncio.gather(*keeping, return_exceptions=True)
        ending.add_done_callback(lambda _: self._hurry.set())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.ending_s):
                await self._hurry.wait()
        if not ending.done():
            self._tell("workers that have not ended are killed")
            self._send(signal.SIGKILL)
        await ending

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            if worker.is_alive:
                worker.signal(number)


def _failed(keeping: list[asyncio.Task[None]]) -> bool:
    return any(task.done() for task in keeping)
