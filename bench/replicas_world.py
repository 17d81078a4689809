"""Replicas and their Redis as processes that are killed, paused and started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

START_DEADLINE_S = 60.0
LOOK_S = 0.02
ENVIRON = {
    "KINDCACHE_SECRET": "a secret of this benchmark alone",
    "KINDCACHE_ADMIN_TOKEN": "root-token",
}
ADMIN = {"authorization": f"Bearer {ENVIRON['KINDCACHE_ADMIN_TOKEN']}"}


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@dataclass(slots=True, eq=False)
class Replica:
    """``kindcache serve`` on a port of its own."""

    name: str
    config: Path
    upstream: str
    port: int = field(default_factory=free_port)
    live: bool = False
    killed_s: float = 0.0  # when last
    ready_s: list[float] = field(default_factory=list)  # from each start until it was ready
    _process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Return which process it is now."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start it, and return when it takes requests."""
        began_s = time.monotonic()
        kept = {name: text for name, text in os.environ.items() if "KINDCACHE_" not in name}
        program = str(Path(sys.executable).with_name("kindcache"))
        options = ["--config", str(self.config), "--port", str(self.port)]
        log = self.config.with_name(f"log-{self.name}.txt")
        with log.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                program,
                *["serve", *options, "--upstream", self.upstream],
                stdout=out,
                stderr=out,
                env=kept | ENVIRON,
            )
        async with asyncio.timeout(START_DEADLINE_S), aiohttp.ClientSession() as client:
            while not await self._answers(client):
                if self._process.returncode is not None:
                    raise SystemExit(f"a replica did not start:\n{log.read_text()}")
                await asyncio.sleep(LOOK_S)
        self.live = True
        self.ready_s.append(time.monotonic() - began_s)

    def send(self, number: signal.Signals) -> None:
        """Send it SIGSTOP or SIGCONT."""
        if self._process is not None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.returncode is None:
            self.live = False
            self.killed_s = time.monotonic()
            self._process.kill()
            await self._process.wait()

    def died_since(self, moment_s: float) -> bool:
        """Say whether it was killed at or after ``moment_s``, or is dead."""
        return not self.live or self.killed_s >= moment_s

    async def _answers(self, client: aiohttp.ClientSession) -> bool:
        try:
            async with client.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@dataclass(slots=True, eq=False)
class Redis:
    """A redis-server on a port of its own. ``keeps``: what it has is there after a restart."""

    folder: Path
    keeps: bool
    port: int = field(default_factory=free_port)
    _process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Return its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start it, and return when it has read its data."""
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit("redis-server is not in PATH (Debian: apt-get install redis-server)")
        options: Mapping[str, str] = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if self.keeps else "no",
            "appendfsync": "everysec",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = await asyncio.create_subprocess_exec(
            program, *arguments, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(START_DEADLINE_S):
            while not await self._answers():  # noqa: ASYNC110 - seldom more than a few looks
                await asyncio.sleep(LOOK_S)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it ``number``, which ends it."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it SIGSTOP or SIGCONT."""
        if self._process is not None:
            self._process.send_signal(number)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        said = await reader.readline()
        writer.close()
        return said.startswith(b"+PONG")
