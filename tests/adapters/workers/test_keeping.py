"""A parent and small processes in the place of workers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from kindcache.adapters.workers.keeping import GaveUp, Keeper, Patience
from kindcache.adapters.workers.process import WorkerProcess

pytestmark = pytest.mark.anyio

READY = "import os, signal, sys, time; bond = int(sys.argv[1]); os.write(bond, b'1')\n"
WAITS = READY + "time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS
FAILS = "raise SystemExit(3)"
DIES = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
QUICK = Patience(first_pause_s=0.01, longest_pause_s=0.02, most_deaths=2, ending_s=10)


class Team:
    """A keeper of processes that run ``scripts``, one after another and the last again."""

    def __init__(self, count: int, scripts: Sequence[str], patience: Patience = QUICK) -> None:
        self.lines: list[str] = []
        self.started: list[tuple[int, WorkerProcess]] = []
        self.changed = asyncio.Event()
        self.ready = asyncio.Event()
        self._scripts = list(scripts)
        self.keeper = Keeper(self._start, count, self._tell, patience)

    async def _start(self, number: int) -> WorkerProcess:
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        words = [sys.executable, "-S", "-c", script]
        worker = await WorkerProcess.start(lambda bond: [*words, str(bond)], (), os.environ)
        self.started.append((number, worker))
        self.changed.set()
        return worker

    def _tell(self, line: str) -> None:
        self.lines.append(line)
        self.changed.set()

    async def run(self) -> None:
        async with asyncio.timeout(20):
            await self.keeper.run(self.ready.set)

    async def until_told(self, text: str) -> None:
        async with asyncio.timeout(20):
            while not any(text in line for line in self.lines):
                self.changed.clear()
                await self.changed.wait()

    @property
    def alive(self) -> list[int]:
        return [number for number, worker in self.started if worker.is_alive]


@asynccontextmanager
async def running(team: Team) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(team.run())
    try:
        async with asyncio.timeout(20):
            await team.ready.wait()
        yield task
    finally:
        team.keeper.stop()
        await task
        assert team.alive == []


async def test_it_gives_up_when_the_first_worker_cannot_start() -> None:
    team = Team(3, [FAILS])
    with pytest.raises(GaveUp, match=r"worker 0 could not start \(exit code 3\); its own message"):
        await team.run()
    assert len(team.started) == 1


async def test_it_gives_up_when_workers_die_at_once_again_and_again() -> None:
    team = Team(1, [DIES])
    with pytest.raises(GaveUp, match="worker 0 died 3 times in a row, and no other is running"):
        await team.run()
    assert len(team.started) == 3
    assert "SIGKILL" in team.lines[0]


async def test_while_another_worker_answers_it_never_gives_up() -> None:
    team = Team(2, [WAITS, WAITS, FAILS])
    async with running(team) as task:
        dict(team.started)[1].signal(signal.SIGKILL)
        async with asyncio.timeout(20):
            while len(team.started) < 7:
                team.changed.clear()
                await team.changed.wait()
        assert not task.done()
        assert team.alive[0] == 0


async def test_a_worker_that_died_is_started_again() -> None:
    team = Team(2, [WAITS], Patience(steady_s=0.0))
    async with running(team):
        assert team.alive == [0, 1]
        dict(team.started)[0].signal(signal.SIGKILL)
        await team.until_told("worker 0 is ready again")
        assert team.alive == [1, 0]
        assert "worker 0 is started again in 0 s" in team.lines


async def test_who_does_not_end_in_time_is_killed() -> None:
    team = Team(1, [DEAF], Patience(ending_s=0.1))
    async with running(team):
        pass
    assert team.lines == ["workers that have not ended are killed"]


async def test_asked_twice_to_stop_it_waits_for_nobody() -> None:
    team = Team(1, [DEAF], Patience(ending_s=60))
    async with running(team):
        team.keeper.stop()


async def test_a_reload_reaches_those_that_are_ready_and_others_once_they_are(
    tmp_path: Path,
) -> None:
    def script(number: int) -> str:
        """Tell of SIGHUP in one file; be ready once another one is there."""
        return (
            "import os, pathlib, signal, sys, time\n"
            f"told = pathlib.Path({str(tmp_path / f'told{number}')!r})\n"
            f"go = pathlib.Path({str(tmp_path / f'go{number}')!r})\n"
            "while not go.exists(): time.sleep(0.01)\n"
            "signal.signal(signal.SIGHUP, lambda *_: told.touch())\n"
            "os.write(int(sys.argv[1]), b'1')\n"
            "for _ in range(6000): time.sleep(0.01)\n"
        )

    team = Team(2, [script(0), script(1)])
    (tmp_path / "go0").touch()
    task = asyncio.create_task(team.run())
    async with asyncio.timeout(20):
        while len(team.started) < 2:
            team.changed.clear()
            await team.changed.wait()
        team.keeper.reload()
        (tmp_path / "go1").touch()
        while not (tmp_path / "told0").exists() or not (tmp_path / "told1").exists():
            await asyncio.sleep(0.01)
    team.keeper.stop()
    await task


async def test_forty_deaths_lose_no_descriptor() -> None:
    pauses = Patience(first_pause_s=0.0, longest_pause_s=0.0)
    team = Team(2, [WAITS, FAILS], pauses)
    task = asyncio.create_task(team.run())
    held = []
    async with asyncio.timeout(20):
        for deaths in (5, 40):
            while len(team.started) < deaths:
                team.changed.clear()
                await team.changed.wait()
            held.append(psutil.Process().num_fds())
    team.keeper.stop()
    await task
    assert held[1] - held[0] < 10
