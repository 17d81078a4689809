"""One worker, as its parent sees it."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress


class WorkerProcess:
    """A process with a bond: a byte over it says that it is ready, its end that we are gone."""

    def __init__(self, process: asyncio.subprocess.Process, bond: socket.socket) -> None:
        self._process = process
        self._bond = bond
        self._began_s = time.monotonic()
        self.has_been_ready = False
        self._listening = asyncio.create_task(self._listen())
        self.when_ready: list[Callable[[], None]] = []

    @classmethod
    async def start(
        cls,
        command: Callable[[int], Sequence[str]],
        shared: Sequence[int],
        environ: Mapping[str, str],
    ) -> WorkerProcess:
        """Start ``command`` of its end of the bond; it inherits that and ``shared`` descriptors.

        It is in a process group of its own, so that Ctrl-C reaches us alone.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), *shared),
                    env=dict(environ),
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def lived_s(self) -> float:
        """Return how long ago it was started."""
        return time.monotonic() - self._began_s

    @property
    def is_ready(self) -> bool:
        """Say whether it answers."""
        return self.has_been_ready and self.is_alive

    @property
    def is_alive(self) -> bool:
        """Say whether it has not ended."""
        return self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is alive."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; return its exit code, or the signal that ended it, negative."""
        try:
            return await self._process.wait()
        finally:
            self._listening.cancel()
            await asyncio.wait({self._listening})
            self._bond.close()

    async def _listen(self) -> None:
        with suppress(OSError):
            if await asyncio.get_running_loop().sock_recv(self._bond, 1):
                self.has_been_ready = True
                for tell in self.when_ready:
                    tell()
