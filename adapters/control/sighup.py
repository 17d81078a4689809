"""SIGHUP reloads the policy file, as daemons do."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable


class OnSighup:
    """Runs ``reload`` on each SIGHUP while it is on. Signals of one moment are one reload."""

    def __init__(self, reload: Callable[[], Awaitable[object]]) -> None:
        self._reload = reload
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._before: signal.Handlers | Callable[..., object] | int | None = None

    def start(self) -> bool:
        """Listen; False where signals cannot be had: not the main thread, or not such a system."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if not hasattr(signal, "SIGHUP"):
            return False
        self._before = signal.getsignal(signal.SIGHUP)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        self._task = asyncio.create_task(self._listen())
        return True

    async def aclose(self) -> None:
        """Stop listening. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            if self._before is not None:  # under nohup it is ignored
                signal.signal(signal.SIGHUP, self._before)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._reload()
