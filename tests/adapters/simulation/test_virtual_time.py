"""Time that jumps."""

from __future__ import annotations

import asyncio
import time

import pytest

from kindcache.adapters.simulation.virtual_time import run


@pytest.mark.parametrize("seconds", [0.1, 3 * 86_400, 1_700_000_001.3])
def test_a_sleep_takes_no_time_and_time_has_passed(seconds: float) -> None:
    async def sleeping() -> float:
        await asyncio.sleep(seconds)
        return asyncio.get_running_loop().time()

    began_s = time.perf_counter()
    assert run(sleeping()) == pytest.approx(seconds)
    assert time.perf_counter() - began_s < 5


def test_what_is_due_first_comes_first() -> None:
    order: list[tuple[str, float]] = []

    async def work(name: str, *waits_s: float) -> None:
        for wait_s in waits_s:
            await asyncio.sleep(wait_s)
            order.append((name, asyncio.get_running_loop().time()))

    async def all_at_once() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(work("slow", 5.0, 5.0))
            group.create_task(work("quick", 2.0, 2.0, 2.0))

    run(all_at_once())
    assert order == [("quick", 2), ("quick", 4), ("slow", 5), ("quick", 6), ("slow", 10)]


def test_deadlines_are_virtual_too() -> None:
    async def waiting() -> float:
        try:
            async with asyncio.timeout(60.0):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return asyncio.get_running_loop().time()
        return 0.0

    assert run(waiting()) == 60.0
