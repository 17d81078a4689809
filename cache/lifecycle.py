"""Opening, keeping and closing: everything an engine needs besides requests.

Opening fails closed only for what cannot work (``StartupError``). A store that is away is no such
thing: the engine stands aside until it is back, and the application goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

from ..policies.allotment import Allotment
from ..policies.policy import Policy
from .background import Background
from .engine import Engine
from .entries.building import keep_building
from .entries.entry import IndexRecord
from .errors import EmbedderError, StoreError
from .events import Failed
from .examples import Examples, learnt
from .fail_open import fail_open
from .ports import EntryKey, News, Position
from .removing.epoch import follow_epoch
from .removing.purging import purge
from .removing.sweeping import sweep
from .replication.following import Follower
from .replication.looking import wanted
from .replication.notices import EPOCH, readers_of
from .snapshot.keeping import Snapshots

TICK_S = 1.0
MOST_BEHIND_S = 10.0  # not to know the store's changes for so long is no passing trouble
BLOCKED_EVERY_TICKS = 10
SWEEP_EVERY_TICKS = 2  # if one is due: until then the store has what replicas do not


@dataclass(slots=True)
class Lifecycle:
    """Owns the background work of one engine."""

    engine: Engine
    examples: Examples
    close_deadline_s: float = 5.0
    background: Sequence[Background] = ()
    beside: Sequence[Callable[[], Coroutine[None, None, None]]] = ()  # each runs until the end
    when_loaded: Callable[[], None] | None = None  # called once
    snapshots: Snapshots | None = None
    loaded: bool = False
    to_purge: dict[str, None] = field(default_factory=dict)  # categories, in order
    follower: Follower = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        readers = readers_of(self.engine, self.check_epoch)
        self.follower = Follower(self.engine, readers, self._moved)

    async def open(self) -> None:
        """Open what the engine needs and start its upkeep. Raises ``StartupError``."""
        await self.prepare()
        self._tasks = [
            asyncio.create_task(self._upkeep()),
            asyncio.create_task(keep_building(self.engine.memory.table, self.engine.observer)),
            *map(asyncio.create_task, self.follower.work()),
            *(asyncio.create_task(run()) for run in self.beside),
        ]

    async def prepare(self) -> None:
        """Open what the engine needs; who calls this alone calls ``keep`` too.

        Raises ``StartupError``.
        """
        scorer = self.engine.decider.scorer
        opening = [self.engine.embedder.open()] + ([] if scorer is None else [scorer.open()])
        await asyncio.gather(*opening)  # each loads in a thread of its own
        self.engine.memory.writer.start()
        await self._connect()
        await self._learn()
        for work in self.background:
            work.start()

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
        if self.engine.leases is not None:
            await self.engine.leases.aclose()
        if self.snapshots is not None:
            await self.snapshots.aclose()
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
        behind = self.follower.behind()
        if behind.seconds > MOST_BEHIND_S or not self.engine.hears():
            problems.append("replication")
        return {
            "status": "degraded" if problems else "ready",
            "problems": problems,
            "index": "loaded" if self.loaded else "loading",
            "entries": len(self.engine.memory.table),
            "replication": {
                "behind_s": round(behind.seconds, 3),
                "behind_changes": behind.changes,
                "rebuilding": behind.rebuilding,
            },
        }

    async def _upkeep(self) -> None:
        for tick in count():
            with fail_open(self.engine.observer, "upkeep"):
                await self.keep(tick)
            await asyncio.sleep(TICK_S)

    async def keep(self, tick: int) -> None:
        """Do what is due in the ``tick``-th second, but for the graphs of indexes."""
        if self.engine.epoch is None:
            await self._connect()
        elif not self.loaded:
            await self.load()
        else:
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
            await follow_epoch(self.engine)
        except StoreError as exc:
            self._failed("open", exc)

    async def check_epoch(self) -> None:
        """Follow the store's epoch and invalidations; one that was lost is replaced.

        Cold, never wrong.
        """
        try:
            if await follow_epoch(self.engine):
                await self.engine.store.changes.tell([News("notice", EPOCH)])
        except StoreError as exc:
            self._failed("epoch", exc)

    async def load(self) -> None:
        """Fill table and index, from a snapshot or the store; exact hits are served meanwhile."""
        try:
            # Before the ledgers are read: what is told of them afterwards is heard.
            position = await self.engine.store.changes.latest()
            await self.engine.blocked.read(self.engine.store)  # before anything can be found
            await self.engine.invalidated.read(self.engine.store)
            if self.snapshots is not None and await self.snapshots.restore(self._wanted):
                self.follower.begin(self.snapshots.position or 0)
            else:
                self.follower.begin(position)
                await self.follower.filling.load()
            self.follower.has_filled()
        except StoreError as exc:
            self._failed("load", exc)
            return
        self.loaded = True
        if self.when_loaded is not None:
            self.when_loaded()

    def _wanted(self, key: EntryKey, record: IndexRecord) -> bool:
        return wanted(self.engine, key, record)

    def _moved(self, position: Position | None) -> None:
        if self.snapshots is not None:
            self.snapshots.position = position

    async def change(self, policy: Policy, allotment: Allotment, examples: Examples) -> None:
        """Put ``policy`` in force, with all that belongs to it, or nothing at all.

        Raises ``EmbedderError`` where new examples cannot be embedded.
        """
        if self.engine.learnt and self.examples == examples:
            policy.take_prototypes(self.engine.policy)
        elif self.engine.learnt:
            made = await learnt(examples, self.engine.embedder)
            if made is not None:
                policy.use_prototypes(made)
        self.examples = examples
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
            made = await learnt(examples, self.engine.embedder)
        except EmbedderError as exc:
            self._failed("learn", exc)
            return
        if self.examples is not examples:
            return  # others by now; the next tick learns them
        if made is not None:
            self.engine.policy.use_prototypes(made)
        self.engine.learnt = True

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
            await self.engine.invalidated.send(store)
            if tick % BLOCKED_EVERY_TICKS == 0:
                await blocked.read(store)
            due = self.engine.invalidated.due or self.engine.invalidated.erasing_due
            if due and tick % SWEEP_EVERY_TICKS == 0:
                await sweep(self.engine)
        except StoreError as exc:
            self._failed("blocked", exc)

    async def _flush_blocked(self) -> None:
        try:
            async with asyncio.timeout(self.close_deadline_s):
                await self.engine.blocked.send(self.engine.store)
                await self.engine.invalidated.send(self.engine.store)
        except (StoreError, TimeoutError) as exc:
            self._failed("blocked", exc)

    def _failed(self, stage: str, exc: Exception) -> None:
        self.engine.observer.notify(Failed(stage, type(exc).__name__))
