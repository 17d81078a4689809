"""Replicas in any order of admitting, deleting, restarting and losing the log: all end as one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kindcache.cache.engine import Engine
from kindcache.cache.entries.entry import decode_record
from kindcache.cache.examples import Examples
from kindcache.cache.lifecycle import Lifecycle
from kindcache.cache.outcome import Found, Lead
from kindcache.cache.ports import Change, EntryKey, Gap, News, Position
from kindcache.cache.replication import following
from kindcache.cache.settling import release, settle
from kindcache.cache.stores.memory import MemoryStore
from kindcache.cache.stores.memory_log import MemoryLog
from tests.cache.small_engine import TroubledStore, anew, batcher, received, request, small_engine
from tests.conftest import FakeClock
from tests.drivers.drawn_nonces import draw_nonces_again

REPLICAS = 3
PROMPTS = [f"letter {number}" for number in range(4)]  # to the letter only: each is an entry
WHICH = st.integers(0, REPLICAS - 1)
WHAT = st.sampled_from(PROMPTS)


class Stream:
    """A log as a server keeps it: ids with holes, and an end that a failover may take away."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.ever: Position = 0
        self.before: dict[Position, dict[EntryKey, Any]] = {}  # what a change has replaced
        self.trimmed = False

    @property
    def last(self) -> Position:
        return self.changes[-1].position if self.changes else 0

    def read(self, after: Position) -> list[Change] | Gap:
        positions = {change.position for change in self.changes}
        if after in positions or (after == 0 and not self.trimmed):
            return [change for change in self.changes if change.position > after]
        return Gap("trimmed" if self.last > after else "behind")

    def forget(self) -> None:
        """Keep the last one, as a trimmed log does."""
        self.trimmed = self.trimmed or len(self.changes) > 1
        del self.changes[:-1]


class MarkedLog(MemoryLog):
    """One replica's hand on a stream that all share: what it tells bears its own mark."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream

    def add(self, news: Sequence[News]) -> None:
        for one in news:
            self.stream.ever += 1
            change = Change(self.stream.ever, self.origin, one.kind, one.body)
            self.stream.changes.append(change)

    async def tell(self, news: Sequence[News]) -> Position:
        self.add(news)
        await asyncio.sleep(0)
        return self.stream.ever

    async def since(self, after: Position, limit: int, wait_s: float) -> Sequence[Change] | Gap:
        found = self.stream.read(after)
        await asyncio.sleep(0)
        if not found:
            await asyncio.sleep(wait_s)
            found = self.stream.read(after)
        return found if isinstance(found, Gap) else found[:limit]

    async def latest(self) -> Position:
        return self.stream.last

    async def admitted(self, limit: int) -> Sequence[EntryKey]:
        admissions = [one for one in reversed(self.stream.changes) if one.kind == "admit"]
        return list(dict.fromkeys(key for one in admissions for key in one.keys))[:limit]


class View(TroubledStore):
    """One replica's connection to a store that all share; each call takes some turns."""

    def __init__(self, shared: MemoryStore, stream: Stream) -> None:
        self.inner = shared
        self.troubles = {}
        self.gates = {}
        self.calls = []
        self._marked = MarkedLog(stream)

    @property
    def changes(self) -> MarkedLog:
        return self._marked

    async def _pass(self, method: str) -> None:
        del method
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        await self._pass("put")
        await self._telling(self.inner.put(key, payload, record, retention_s), [key])
        await self._pass("put")

    async def delete(self, keys: Collection[EntryKey]) -> None:
        await self._pass("delete")
        await self._telling(self.inner.delete(keys), keys)
        await self._pass("delete")

    async def records_of(self, keys: Collection[EntryKey]) -> dict[EntryKey, bytes]:
        found = await self.inner.records_of(keys)  # a slow answer tells of the past
        await self._pass("records_of")
        return found

    async def _telling(self, call: Coroutine[Any, Any, None], keys: Collection[EntryKey]) -> None:
        log, before = self.inner._log, {key: self.inner._rows.get(key) for key in keys}
        self.inner._log = self._marked
        try:
            await call  # without a turn for others
            self._marked.stream.before[self._marked.stream.ever] = before
        finally:
            self.inner._log = log

    async def aclose(self) -> None:
        await self._pass("aclose")


class Replicas(RuleBasedStateMachine):
    """Three engines with their followers, in one loop that runs a few turns at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        draw_nonces_again(self.patch)
        self.patch.setattr(following, "WAIT_S", 0.01)  # what nobody tells is noticed after that
        self.patch.setattr(following, "FIRST_PAUSE_S", 0.001)
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.shared = MemoryStore(self.clock)
        self.stream = Stream()
        self.made: list[tuple[Engine, Lifecycle]] = []
        self.said = 0
        self.lost: set[EntryKey] = set()  # by the server: nobody has removed these

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(call, 5))

    @initialize()
    def start(self) -> None:
        self.made = [self.run(self._started()) for _ in range(REPLICAS)]

    def teardown(self) -> None:
        for _, lifecycle in self.made:
            self.run(lifecycle.aclose())
        self.loop.close()
        self.patch.undo()

    async def _started(self) -> tuple[Engine, Lifecycle]:
        engine, _ = small_engine(self.clock, View(self.shared, self.stream), batcher())
        engine.epoch = None
        lifecycle = Lifecycle(engine, Examples())
        await lifecycle.open()
        return engine, lifecycle

    @rule(turns=st.integers(1, 40))
    def others_have_their_turn(self, turns: int) -> None:
        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.run(some())

    @rule(which=WHICH, what=WHAT)
    def admit(self, which: int, what: str) -> None:
        engine = self.made[which][0]
        self.clock.advance(0.5)
        self.said += 1

        async def ask() -> None:
            if engine.epoch is not None:
                settle(engine, await anew(engine, request(what)), received(f"{self.said}"))

        self.run(ask())

    @rule(which=WHICH, what=WHAT)
    def ask(self, which: int, what: str) -> None:
        self.run(self._text(self.made[which][0], what))

    @rule(which=WHICH)
    def delete_one(self, which: int) -> None:
        memory = self.made[which][0].memory
        memory.remove(list(memory.table.keys_of())[:1], "purged")

    @rule(which=WHICH)
    def restart(self, which: int) -> None:
        self.run(self.made[which][1].aclose())
        self.made[which] = self.run(self._started())

    @rule()
    def the_log_forgets(self) -> None:
        self.stream.forget()

    @rule()
    def a_failover_loses_the_end(self) -> None:
        """The last change, and what it was about, are as if they had never been."""
        if len(self.stream.changes) > 1:
            lost = self.stream.changes.pop()
            for key, row in self.stream.before.get(lost.position, {}).items():
                self.lost.add(key)
                self.shared._rows.pop(key, None)
                if row is not None:
                    self.shared._rows[key] = row

    @rule()
    def the_store_loses_everything(self) -> None:
        self.lost.update(self.shared._rows)
        self.shared._rows.clear()
        self.stream.changes.clear()
        self.stream.trimmed = False

    @rule()
    def all_is_quiet(self) -> None:
        self.run(self._settled())
        truth = {
            key: (row.created_s, row.size_bytes)
            for key, row in ((k, decode_record(r.record)) for k, r in self.shared._rows.items())
        }
        for engine, _ in self.made:
            # Who has read what the server lost before the log told of it may have it still: an
            # entry goes when it is next wanted, since the store has no answer for it.
            held = {
                one.key: (one.created_s, one.size_bytes)
                for one in engine.memory.table
                if one.key in truth or one.key not in self.lost
            }
            assert held == truth
            kept = (one for one in engine.memory.hot.items() if one[0] not in self.lost)
            hot = {key: payload.created_s for key, payload in kept}
            assert hot.items() <= {key: one[0] for key, one in truth.items()}.items()
        for prompt in PROMPTS if not self.lost else ():
            texts = {self.run(self._text(engine, prompt)) for engine, _ in self.made}
            assert len(texts) == 1

    @invariant()
    def nothing_has_failed_for_good(self) -> None:
        for _, lifecycle in self.made:
            assert not any(task.done() for task in lifecycle._tasks)

    async def _text(self, engine: Engine, prompt: str) -> str | None:
        outcome = await engine.lookup(request(prompt))
        if isinstance(outcome, Lead):
            release(engine, outcome)
        return outcome.payload.answer.choices[0].text if isinstance(outcome, Found) else None

    async def _settled(self) -> None:
        """Wait until nobody has anything left to do."""
        quiet = 0
        while quiet < 50:
            await asyncio.sleep(0.0001 if quiet else 0)
            quiet = quiet + 1 if all(map(self._is_quiet, self.made)) else 0

    def _is_quiet(self, one: tuple[Engine, Lifecycle]) -> bool:
        engine, lifecycle = one
        follower = lifecycle.follower
        return (
            lifecycle.loaded
            and not engine.memory.writer.waiting
            and not engine.memory.writer.unheard.now()  # what it waits to read in the log
            and engine.position == self.stream.last
            and not follower._unsettled
            and not follower._pending
        )


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
