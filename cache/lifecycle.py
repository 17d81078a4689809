"""Opening, keeping and closing: everything an engine needs besides requests.

Opening fails closed only for what cannot work (``StartupError``). A store that is away is no such
thing: the engine stands aside until it is back, and the application goes on.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from ..policies.allotment import Allotment
from ..policies.category import Prototypes
from ..policies.policy import Policy
from .background import Background
from .engine import Engine
from .entries.entry import decode_record
from .entries.heap import give_back
from .errors import CorruptRecord, EmbedderError, StoreError
from .events import Failed
from .fail_open import fail_open
from .removing.erasing import sweep
from .removing.purging import purge

TICK_S = 1.0
EPOCH_EVERY_TICKS = 10
BLOCKED_EVERY_TICKS = 10
LOAD_BATCH = 256  # records taken in before other work gets its turn


@dataclass(frozen=True, slots=True)
class Example:
    """An example prompt of a category."""

    category: str
    text: str


@dataclass(slots=True)
class Lifecycle:
    """Owns the background work of one engine."""

    engine: Engine
    examples: Sequence[Example]
    min_similarity: float
    margin: float
    close_deadline_s: float = 5.0
    background: Sequence[Background] = ()
    beside: Sequence[Callable[[], Coroutine[None, None, None]]] = ()  # each runs until the end
    when_loaded: Callable[[], None] | None = None  # called once
    loaded: bool = False
    to_purge: dict[str, None] = field(default_factory=dict)  # categories, in order
    _loading: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self) -> None:
        """Open what the engine needs and start its upkeep. Raises ``StartupError``."""
        await self.engine.embedder.open()
        if self.engine.decider.scorer is not None:
            await self.engine.decider.scorer.open()
        self.engine.memory.writer.start()
        await self._connect()
        await self._learn()
        for work in self.background:
            work.start()
        self._tasks = [
            asyncio.create_task(self._upkeep()),
            asyncio.create_task(self._build_indexes()),
            *(asyncio.create_task(run()) for run in self.beside),
        ]

    async def end_background(self) -> None:
        """Cancel the calls of our own that are under way; none is made any more."""
        for work in self.background:
            await work.aclose()

    async def aclose(self) -> None:
        """Finish queued writes within the deadline, then release everything."""
        await self.end_background()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._flush_evidence()
        await self._flush_blocked()
        await self.engine.memory.writer.aclose(self.close_deadline_s)
        await self.engine.embedder.aclose()
        if self.engine.decider.scorer is not None:
            await self.engine.decider.scorer.aclose()
        try:
            await self.engine.store.aclose()
        except StoreError as exc:
            self._failed("close", exc)

    def health(self) -> dict[str, object]:
        """Describe the state for a readiness probe: ``ready``, or ``degraded`` and why."""
        problems = []
        if self.engine.epoch is None:
            problems.append("store")
        if not self.engine.learnt:
            problems.append("embedder")
        return {
            "status": "degraded" if problems else "ready",
            "problems": problems,
            "index": "loaded" if self.loaded else "loading",
            "entries": len(self.engine.memory.table),
        }

    async def _upkeep(self) -> None:
        for tick in count():
            with fail_open(self.engine.observer, "upkeep"):
                await self._keep(tick)
            await asyncio.sleep(TICK_S)

    async def _keep(self, tick: int) -> None:
        if self.engine.epoch is None:
            await self._connect()
        elif not self.loaded:
            await self.load()
        elif tick % EPOCH_EVERY_TICKS == 0:
            await self.check_epoch()
        if self.engine.epoch is not None:
            await self.engine.evidence.keep()
            await self._share_blocked(tick)
        if not self.engine.learnt:
            await self._learn()
        if self.to_purge:
            await self.purge_gone()
        self.engine.memory.expire(self.engine.clock())

    async def _connect(self) -> None:
        try:
            await self.engine.store.open()
            self.engine.epoch = await self.engine.store.claim("epoch", secrets.token_bytes(16))
        except StoreError as exc:
            self._failed("open", exc)

    async def check_epoch(self) -> None:
        """Follow the store's epoch; one that was lost is replaced, which is cold, never wrong."""
        try:
            epoch = await self.engine.store.claim("epoch", secrets.token_bytes(16))
        except StoreError as exc:
            self._failed("epoch", exc)
            return
        if epoch != self.engine.epoch:
            self.engine.epoch = epoch
            self.engine.memory.clear()

    async def load(self) -> None:
        """Fill table and index from the store; exact hits are served meanwhile."""
        memory = self.engine.memory
        number = count(1)
        try:
            await self.engine.blocked.read(self.engine.store)  # before anything can be found
            await self.engine.erased.read(self.engine.store)
            self.engine.erased.due = False
            async for key, data in self.engine.store.records():
                try:
                    record = decode_record(data)
                    if self.engine.erased.covers_record(record):
                        self.engine.erased.due = True  # a write that came too late
                    else:
                        memory.adopt(key, record)
                except CorruptRecord as exc:
                    self._failed("load", exc)
                if next(number) % LOAD_BATCH == 0:
                    await asyncio.sleep(0)
        except StoreError as exc:
            self._failed("load", exc)
            return
        finally:
            self._loading = False
        self.loaded = True
        if self.when_loaded is not None:
            self.when_loaded()

    async def change(
        self,
        policy: Policy,
        allotment: Allotment,
        examples: Sequence[Example],
        *,
        min_similarity: float,
        margin: float,
    ) -> None:
        """Put ``policy`` in force, with all that belongs to it, or nothing at all.

        Raises ``EmbedderError`` where new examples cannot be embedded.
        """
        known = (tuple(self.examples), self.min_similarity, self.margin)
        if self.engine.learnt and known == (tuple(examples), min_similarity, margin):
            policy.take_prototypes(self.engine.policy)
        elif self.engine.learnt:
            made = await self._prototypes(examples, min_similarity, margin)
            if made is not None:
                policy.use_prototypes(made)
        self.examples, self.min_similarity, self.margin = examples, min_similarity, margin
        self.engine.use(policy)
        self.engine.memory.table.occupancy.obey(allotment)

    async def purge_gone(self, categories: Iterable[str] = ()) -> dict[str, int]:
        """Purge ``categories`` and those that are still to be; return how many entries by name.

        What the store does not let go now is tried again in each tick. In this process nothing of
        them is served any more.
        """
        self.to_purge.update(dict.fromkeys(categories))
        gone: dict[str, int] = {}
        for name in tuple(self.to_purge):
            if name in self.engine.policy and self.engine.policy[name].cache:
                self.to_purge.pop(name, None)  # it is back
                continue
            try:
                gone[name] = await purge(self.engine, name)
            except StoreError as exc:
                self._failed("purge", exc)
                break
            self.to_purge.pop(name, None)
        return gone

    async def _learn(self) -> None:
        """Embed the examples; until that succeeds undecided prompts are ``default``."""
        examples = self.examples
        try:
            made = await self._prototypes(examples, self.min_similarity, self.margin)
        except EmbedderError as exc:
            self._failed("learn", exc)
            return
        if self.examples is not examples:
            return  # others by now; the next tick learns them
        if made is not None:
            self.engine.policy.use_prototypes(made)
        self.engine.learnt = True

    async def _prototypes(
        self, examples: Sequence[Example], min_similarity: float, margin: float
    ) -> Prototypes | None:
        names: list[str] = []
        vectors = []
        for example in examples:
            vector = await self.engine.embedder.embed(example.text)
            if vector is not None:
                names.append(example.category)
                vectors.append(vector)
        if not vectors:
            return None
        matrix = np.stack(vectors).astype(np.float32)
        return Prototypes(names, matrix, min_similarity=min_similarity, margin=margin)

    async def _build_indexes(self) -> None:
        """Build and compact graphs in a thread, one at a time; they serve meanwhile."""
        freed_much = True  # by the load
        while True:
            due = () if self._loading else self.engine.memory.table.indexes()
            for index in due:
                while (build := index.next_build()) is not None:
                    try:
                        with fail_open(self.engine.observer, "index.build"):
                            await asyncio.to_thread(build.run)
                    except BaseException:
                        build.cancel()
                        raise
                    finally:
                        index.finish_build(build)
                    freed_much = True
            if freed_much and not self._loading:
                await asyncio.to_thread(give_back)
                freed_much = False
            await asyncio.sleep(TICK_S)

    async def _flush_evidence(self) -> None:
        try:
            async with asyncio.timeout(self.close_deadline_s):
                await self.engine.evidence.flush()
        except (StoreError, TimeoutError) as exc:
            self._failed("evidence", exc)

    async def _share_blocked(self, tick: int) -> None:
        blocked, store = self.engine.blocked, self.engine.store
        try:
            await blocked.send(store)
            await self.engine.erased.send(store)
            if tick % BLOCKED_EVERY_TICKS == 0:
                await blocked.read(store)
                await self.engine.erased.read(store)
                if self.engine.erased.due:
                    await sweep(self.engine)
        except StoreError as exc:
            self._failed("blocked", exc)

    async def _flush_blocked(self) -> None:
        try:
            async with asyncio.timeout(self.close_deadline_s):
                await self.engine.blocked.send(self.engine.store)
                await self.engine.erased.send(self.engine.store)
        except (StoreError, TimeoutError) as exc:
            self._failed("blocked", exc)

    def _failed(self, stage: str, exc: Exception) -> None:
        self.engine.observer.notify(Failed(stage, type(exc).__name__))
