"""A copy of this process that writes what memory held at one moment, while this one goes on.

Forking takes some ms (the tables of memory pages are copied, not the pages), where reading a graph
of 100,000 vectors takes 60 ms in which no other thread runs. The copy has one thread. It touches
no lock, connection or model of this process, closes what it inherited, and is killed when it does
not end in time.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import warnings
from collections.abc import Callable
from typing import NoReturn

MOST_FILES = 1 << 20
LEAST_URGENT = 10  # of 19


class Child:
    """A running copy. ``kill`` it or wait for it, then ``close``."""

    def __init__(self, work: Callable[[], None], keep: int) -> None:
        """Fork, and do ``work`` there with no open file but ``keep`` and the first three."""
        # The copy must not take a signal for this process: they share the pipe that tells of it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of any thread; what they may hold is not used there.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process = os.fork()
            if self._process == 0:
                _end_with(work, keep)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._handle = os.pidfd_open(self._process)

    def kill(self) -> None:
        """End it now, wherever it is."""
        if self._handle >= 0:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def succeeded(self, deadline_s: float) -> bool:
        """Wait for its end, which comes within ``deadline_s``; say whether its work was done."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._handle, ended.set)
        try:
            async with asyncio.timeout(deadline_s):
                await ended.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._handle)
            self.kill()
            status = self._reaped()
        return status == 0

    def _reaped(self) -> int:
        handle, self._handle = self._handle, -1
        os.close(handle)
        try:
            return os.waitpid(self._process, 0)[1]  # at once: it has ended, or was killed
        except ChildProcessError:
            return -1  # somebody else has asked for all children


def _end_with(work: Callable[[], None], keep: int) -> NoReturn:
    done = False
    try:
        gc.disable()  # it would write to every object, and so copy every page
        os.nice(LEAST_URGENT)
        os.closerange(3, keep)
        os.closerange(keep + 1, MOST_FILES)
        work()
        done = True
    finally:
        os._exit(not done)
