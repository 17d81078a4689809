"""A gate between threads and event loops: one side opens it, any number wait for it."""

from __future__ import annotations

import asyncio
import threading

DEADLINE_S = 10.0


class Gate:
    """Closed until `open()`; then open for good. Any thread may open it or wait for it."""

    def __init__(self, name: str = "gate") -> None:
        self.name = name
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._waiters: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"Gate({self.name!r}, {'open' if self.is_open else 'closed'})"

    @property
    def is_open(self) -> bool:
        return self._event.is_set()

    def open(self) -> None:
        with self._lock:
            self._event.set()
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            loop = waiter.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, waiter)

    def wait(self, timeout_s: float = DEADLINE_S) -> None:
        """Block this thread until the gate is open; fail after `timeout_s`."""
        assert self._event.wait(timeout_s), f"{self.name} did not open in {timeout_s} s"

    async def passed(self, timeout_s: float | None = DEADLINE_S) -> None:
        """Wait on this event loop until the gate is open; fail after `timeout_s`."""
        with self._lock:
            if self._event.is_set():
                return
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError as exc:
            raise AssertionError(f"{self.name} did not open in {timeout_s} s") from exc


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
