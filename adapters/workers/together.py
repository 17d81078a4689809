"""What one worker answers for all of them: metrics, readiness, figures, reloads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ...cache.events import Failed
from ...cache.fail_open import fail_open
from ..control.figures import figures
from ..control.reloading import ReloadRefused
from .door import Door, ask
from .merged_figures import merged_figures
from .merging import continued, merged
from .place import Place, keep, mark_reload, reload_mark

if TYPE_CHECKING:
    from ..build import Service
    from ..control.reloading import Reloading

METRICS_DEADLINE_S = 1.0
HEALTH_DEADLINE_S = 0.3  # a probe waits a second
FIGURES_DEADLINE_S = 1.0
LEVEL_DEADLINE_S = 1.0
LOOK_EVERY_S = 0.005
RELOAD_DEADLINE_S = 30.0  # new examples are embedded
SILENT = "no answer"


class Together:
    """Knows the other workers of ``place``. ``mark`` was read before the settings were."""

    def __init__(self, place: Place, mark: str) -> None:
        self._place = place
        self._mark = mark
        self._door = Door(place.door(place.number))
        self._service: Service | None = None
        self._reloading: Reloading | None = None
        self._before = ""  # what predecessors under this number counted
        self._telling = asyncio.Lock()

    async def open(self, service: Service, reloading: Reloading) -> None:
        """Answer the others, and catch up with a reload of meanwhile. Raises ``StartupError``."""
        self._service, self._reloading = service, reloading
        self._before = await asyncio.to_thread(self._last_of, self._place.number)
        await self._door.open(
            {
                "metrics": partial(self._safely, self._own_metrics),
                "health": partial(self._safely, self._own_health),
                "figures": partial(self._safely, self._own_figures),
                "level": partial(self._safely, self._own_level),
                "reload": partial(self._safely, self._reload),
            }
        )
        if reload_mark(self._place.folder) != self._mark:
            await reloading.reload_quietly()

    async def aclose(self) -> None:
        """Answer no more; what was counted is kept for who comes after."""
        if self._service is not None:
            await self._own_metrics()
        await self._door.aclose()

    async def metrics(self) -> bytes:
        """Return the metrics of all that answer in time, as one exposition."""
        own, others = await asyncio.gather(
            self._own_metrics(), self._ask("metrics", METRICS_DEADLINE_S)
        )
        live = {str(n): text.decode() for n, text in others.items() if text is not None}
        live[str(self._place.number)] = own.decode()
        silent = [number for number, text in others.items() if text is None]
        return await asyncio.to_thread(self._merged, live, silent)

    async def health(self, own: Mapping[str, object]) -> Mapping[str, object]:
        """Add to ``own`` readiness how the others are; theirs does not decide."""
        others = await self._ask("health", HEALTH_DEADLINE_S)
        states = {str(n): SILENT if text is None else text.decode() for n, text in others.items()}
        states[str(self._place.number)] = str(own["status"])
        return {**own, "worker": self._place.number, "workers": dict(sorted(states.items()))}

    async def figures(self, own: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the figures of all that answer in time."""
        others = await self._ask("figures", FIGURES_DEADLINE_S)
        known = {n: None if text is None else json.loads(text) for n, text in others.items()}
        return merged_figures(self._place.number, own, known)

    async def reload_others(self) -> Mapping[str, Any]:
        """Have the others reload too; return by number what came of it."""
        await asyncio.to_thread(mark_reload, self._place.folder)
        others = await self._ask("reload", RELOAD_DEADLINE_S)
        return {
            str(number): {"status": SILENT} if text is None else json.loads(text)
            for number, text in others.items()
        }

    async def level(self) -> None:
        """Wait until the others have carried out all that the store was told, a second at most."""
        await self._ask("level", LEVEL_DEADLINE_S)

    async def _ask(self, word: str, deadline_s: float) -> dict[int, bytes | None]:
        numbers = [n for n in range(self._place.count) if n != self._place.number]
        asked = (ask(self._place.door(number), word, deadline_s) for number in numbers)
        answers = dict(zip(numbers, await asyncio.gather(*asked), strict=True))
        assert self._service is not None
        if word != "health":  # which is asked while they start
            for _ in filter(lambda answer: answer is None, answers.values()):
                self._service.engine.observer.notify(Failed("workers", "Silent"))
        return answers

    async def _safely(self, answer: Callable[[], Awaitable[bytes]]) -> bytes | None:
        assert self._service is not None
        with fail_open(self._service.engine.observer, "workers"):
            return await answer()
        return None

    async def _own_level(self) -> bytes:
        assert self._service is not None
        engine = self._service.engine
        last = await engine.store.changes.latest()
        async with asyncio.timeout(LEVEL_DEADLINE_S):
            while engine.position is None or engine.position < last:  # noqa: ASYNC110 - no event
                await asyncio.sleep(LOOK_EVERY_S)
        return b"level"

    async def _own_metrics(self) -> bytes:
        """Return this worker's metrics. What is once told is kept, so that sums never fall."""
        assert self._service is not None
        async with self._telling:  # the file holds what was told last
            text = self._service.metrics.exposition()
            return await asyncio.to_thread(self._kept, text)

    def _kept(self, text: bytes) -> bytes:
        if self._before:
            text = continued(self._before, text)
        with suppress(OSError):  # a full disk
            keep(self._place.counts(self._place.number), text)
        return text

    def _last_of(self, number: int) -> str:
        try:
            return self._place.counts(number).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _merged(self, live: Mapping[str, str], silent: list[int]) -> bytes:
        told = merged(live, [self._last_of(number) for number in silent])
        return told + (
            b"# HELP kindcache_workers Workers, by whether they answered this scrape.\n"
            b"# TYPE kindcache_workers gauge\n"
            b'kindcache_workers{state="answered"} %d\nkindcache_workers{state="silent"} %d\n'
            % (len(live), len(silent))
        )

    async def _own_health(self) -> bytes:
        assert self._service is not None
        return str(self._service.lifecycle.health()["status"]).encode()

    async def _own_figures(self) -> bytes:
        assert self._service is not None
        return json.dumps(figures(self._service.engine, self._service.lifecycle)).encode()

    async def _reload(self) -> bytes:
        assert self._reloading is not None
        try:
            done = await self._reloading.reload()
        except ReloadRefused as exc:
            return json.dumps({"status": "refused", "problems": exc.problems}).encode()
        return json.dumps({"status": "reloaded", "needs_restart": done.needs_restart}).encode()
