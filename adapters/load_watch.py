"""Moves the loads on, once a second, and tells the policy; reads the server's own queue beside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..cache.engine import Engine
from ..cache.events import Failed
from ..cache.fail_open import fail_open
from ..cache.loads import Loads

if TYPE_CHECKING:
    from .upstream.vllm_metrics import VllmMetrics

STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class LoadWatch:
    """The background work of the loads, which ends with the cache."""

    engine: Engine
    loads: Loads
    metrics: VllmMetrics | None = None
    metrics_every_s: float = 1.0

    async def run(self) -> None:
        """Work until cancelled. Nothing that fails here reaches a caller."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._step())
            if self.metrics is not None:
                tasks.create_task(self._listen(self.metrics))

    async def _step(self) -> None:
        while True:
            with fail_open(self.engine.observer, "load"):
                self.step()
            await asyncio.sleep(STEP_S)

    def step(self) -> bool:
        """Move on to now; say whether anything is known of any model."""
        factors = self.loads.step()
        self.engine.policy.use_loads(factors)
        return bool(factors)

    async def _listen(self, metrics: VllmMetrics) -> None:
        try:
            while True:
                with fail_open(self.engine.observer, "load.metrics"):
                    await self.listen(metrics)
                await asyncio.sleep(self.metrics_every_s)
        finally:
            await metrics.aclose()

    async def listen(self, metrics: VllmMetrics) -> None:
        """Read the queue once; what cannot be read is absent, and counted."""
        from .upstream.vllm_metrics import MetricsError  # noqa: PLC0415 - loads aiohttp

        try:
            self.loads.heard(await metrics.read())
        except MetricsError as exc:
            self.engine.observer.notify(Failed("load.metrics", type(exc.__cause__ or exc).__name__))
