"""Work that nobody waits for: bounded, survived, and ended."""

from __future__ import annotations

import asyncio

import pytest

from kindcache.cache.background import Background
from kindcache.cache.events import Failed
from tests.cache.small_engine import Seen

pytestmark = pytest.mark.anyio


class Gated:
    """A job that waits at a gate and says how it ended."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.started = asyncio.Event()
        self.ended = ""

    async def __call__(self) -> None:
        self.started.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"


async def test_past_its_bound_it_takes_no_more() -> None:
    work = Background("test", Seen(), workers=1, limit=2)
    work.start()
    jobs = [Gated() for _ in range(4)]
    assert work.offer(jobs[0])
    await jobs[0].started.wait()
    assert [work.offer(job) for job in jobs[1:]] == [True, True, False]
    for job in jobs:
        job.gate.set()
    await work.drain()
    await work.aclose()
    assert [job.ended for job in jobs] == ["done", "done", "done", ""]


async def test_a_failing_job_is_counted_and_the_next_one_runs() -> None:
    async def fails() -> None:
        raise ValueError("text that nobody may see")

    seen = Seen()
    work = Background("test", seen, workers=1, limit=9)
    work.start()
    after = Gated()
    after.gate.set()
    assert work.offer(fails)
    assert work.offer(after)
    await work.drain()
    await work.aclose()
    assert after.ended == "done"
    assert seen.of(Failed) == [Failed("test", "ValueError")]


async def test_the_end_cancels_what_runs_and_forgets_what_waits() -> None:
    before = asyncio.all_tasks()
    work = Background("test", Seen(), workers=1, limit=9)
    work.start()
    running, waiting = Gated(), Gated()
    work.offer(running)
    work.offer(waiting)
    await running.started.wait()
    await work.aclose()
    await work.aclose()
    await work.drain()
    assert (running.ended, waiting.ended) == ("cancelled", "")
    assert not work.offer(waiting)
    assert asyncio.all_tasks() == before


async def test_before_its_start_it_takes_nothing() -> None:
    assert not Background("test", Seen(), workers=1, limit=9).offer(Gated())
