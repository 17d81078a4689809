"""Counts what one request does: the same work gives the same counts, whatever else is running."""

from __future__ import annotations

import asyncio
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from gate_paths import Client, Path, drive

RUNS = 5  # the least counts: a cache that fills up for once is not what a request costs
WARM_UP = 20
GROWTH_HITS = 400
ROUNDS, ROUND_HITS = 15, 200

Call = Coroutine[Any, Any, None]


def calls(call: Call) -> int:
    """Count the functions called, those written in C included."""
    count = 0

    def seen(_frame: FrameType, event: str, _what: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(seen)
    try:
        drive(call)
    finally:
        sys.setprofile(None)
    return count


def bytecodes(call: Call) -> int:
    """Count the instructions of Python's machine."""
    if sys.version_info >= (3, 12):
        return _monitored(call)
    return _traced(call)


def _monitored(call: Call) -> int:
    """Count them as they happen: a trace misses most of them from Python 3.12 on."""
    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009 - Python 3.11 has none
    tool, instruction = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION
    count = 0

    def seen(_code: object, _offset: int) -> None:
        nonlocal count
        count += 1

    monitoring.use_tool_id(tool, "gate")
    monitoring.register_callback(tool, instruction, seen)
    monitoring.set_events(tool, instruction)
    try:
        drive(call)
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    return count


def _traced(call: Call) -> int:
    count = 0

    def seen(frame: FrameType, event: str, _what: object) -> Callable[..., Any]:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return seen

    sys.settrace(seen)
    try:
        drive(call)
    finally:
        sys.settrace(None)
    return count


def peak_bytes(call: Call) -> int:
    """Return how many bytes the request holds at its most."""
    tracemalloc.start()
    try:
        drive(call)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def tasks(path: Path) -> int:
    """Count the tasks that a request makes."""
    loop = asyncio.get_running_loop()
    before, made = loop.get_task_factory(), 0

    def make(loop: asyncio.AbstractEventLoop, coro: Any, **named: Any) -> asyncio.Task[Any]:
        nonlocal made
        made += 1
        return asyncio.Task(coro, loop=loop, **named)

    loop.set_task_factory(make)
    try:
        drive(path.next())
    finally:
        loop.set_task_factory(before)
    return made


def counts(path: Path) -> dict[str, float]:
    """Return all counts of ``path``; ends the program when it takes another way."""
    for _ in range(WARM_UP):
        drive(path.next())
        path.check()
    found = {"waits": float(drive(path.next()))}
    for what, count in (("calls", calls), ("bytecodes", bytecodes), ("peak bytes", peak_bytes)):
        found[what] = min(count(path.next()) for _ in range(RUNS))
        path.check()
    if found["bytecodes"] <= found["calls"]:
        raise SystemExit(f"{path.name}: instructions cannot be counted with this Python")
    gets = path.store.gets
    drive(path.next())
    found["fetches from the store"] = path.store.gets - gets
    found["tasks"] = tasks(path)
    return found


def growth(path: Path) -> float:
    """Return how many blocks of memory stay for each of many equal requests."""
    drive(path.next())
    before = sys.getallocatedblocks()
    for _ in range(GROWTH_HITS):
        drive(path.next())
    return max(0.0, (sys.getallocatedblocks() - before) / GROWTH_HITS)


def ratio(path: Path, bare: Client) -> float:
    """Return the processor time of a request, in those of ``bare`` with the same body.

    The least of interleaved rounds on either side: others can only make a round longer.
    """
    body = next(path.bodies)
    cached: list[float] = []
    plain: list[float] = []
    for _ in range(ROUNDS):
        for client, times in ((path.client, cached), (bare, plain)):
            began_s = time.thread_time()
            for _ in range(ROUND_HITS):
                drive(client.call(body))
            times.append(time.thread_time() - began_s)
    return min(cached) / min(plain)
