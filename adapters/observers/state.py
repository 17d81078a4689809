"""What an operator wants to know of a process: is the store there, is there room, does it grow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...cache.engine import Engine
from ...cache.stores.guarded import GuardedStore


class State(Collector):
    """Store, breakers, embedder, room, waiting writes and tasks of one process."""

    def __init__(self, engine: Engine, capacity_entries: int) -> None:
        self._engine = engine
        self._capacity_entries = capacity_entries

    def collect(self) -> Iterable[Metric]:
        """Return the gauges of this moment."""
        engine = self._engine
        reached = engine.epoch is not None
        yield _gauge("store_reached", "0 until the store has been reached, then 1.", reached)
        yield self._breakers()
        yield _gauge("embedder_ready", "1 once prompts are embedded and classified.", engine.learnt)
        yield _gauge("capacity_entries", "Entries that may be held.", self._capacity_entries)
        waiting = engine.memory.writer.waiting
        yield _gauge("writes_waiting", "Writes to the store that are queued.", waiting)
        tasks = _tasks()
        if tasks is not None:
            yield _gauge("tasks", "Tasks of the event loop, those of the server included.", tasks)

    def _breakers(self) -> Metric:
        family = GaugeMetricFamily(
            "kindcache_breaker_open",
            "1 while the store is not asked because it failed several times in a row.",
            labels=["side"],
        )
        store = self._engine.store
        if isinstance(store, GuardedStore):
            for side, refused in store.refused.items():
                family.add_metric([side], refused)
        return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"kindcache_{name}", text, value=value)


def _tasks() -> int | None:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # asked outside an event loop
        return None
