"""A whole engine over small parts, and what tests ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from kindcache.cache.asking.identity import Identity, Request
from kindcache.cache.asking.scope import Scoping
from kindcache.cache.background import Background
from kindcache.cache.deciding import Decider
from kindcache.cache.embedders.batching import Batcher
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.engine import Engine
from kindcache.cache.entries.entry import Answer, Choice, Payload
from kindcache.cache.entries.hot import HotPayloads
from kindcache.cache.entries.memory import Memory
from kindcache.cache.entries.occupancy import Occupancy
from kindcache.cache.entries.table import Table
from kindcache.cache.errors import StoreError
from kindcache.cache.events import Event
from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.learning.blocked import Blocked
from kindcache.cache.learning.evidence import Evidence
from kindcache.cache.outcome import Found, Lead
from kindcache.cache.ports import ChangeLog, Clock, Embedder, Encoder, EntryKey, Store
from kindcache.cache.screening import Screening
from kindcache.cache.settling import Received, settle
from kindcache.cache.singleflight import Flights
from kindcache.cache.standing import Standing
from kindcache.cache.stores.memory import MemoryStore
from kindcache.cache.writer import Writer
from kindcache.config.load import loads
from kindcache.policies.facts import Call, Directives, Origin
from kindcache.policies.policy import Policy, compose
from kindcache.policies.verdict import Admit, Refuse
from tests.cache.rooms import by_recency

E = TypeVar("E", bound=Event)

DIM = 64
EPOCH = b"epoch of the test"

# Words that share letters are near for the hashing encoder, hence the low bar.
POLICY = """
defaults: {similarity_threshold: 0.5, ttl: 1h}
categories:
  code: {match: {pattern: "(?i)code"}, ttl: 1d}
  news: {match: {pattern: "(?i)news"}, ttl: 5m}
  secret: {match: {pattern: "(?i)secret"}, cache: false}
  drawn: {match: {pattern: "(?i)draw"}, sampled: bypass}
  letter: {match: {pattern: "(?i)letter"}, semantic: false}
"""


class Seen:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def notify(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


class TroubledStore:
    """A memory store. Its methods fail, or wait at a gate, as the test says, by method's name."""

    def __init__(self, clock: Clock) -> None:
        self.inner = MemoryStore(clock)
        self.troubles: dict[str, Exception] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.calls: list[str] = []

    async def _pass(self, method: str) -> None:
        self.calls.append(method)
        if method in self.gates:
            await self.gates[method].wait()
        if method in self.troubles:
            raise self.troubles[method]

    async def open(self) -> None:
        await self._pass("open")

    async def get(self, key: EntryKey) -> bytes | None:
        found = await self.inner.get(key)  # a slow answer tells of the past
        await self._pass("get")
        return found

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        await self._pass("put")
        await self.inner.put(key, payload, record, retention_s)

    async def delete(self, keys: Collection[EntryKey]) -> None:
        await self._pass("delete")
        await self.inner.delete(keys)

    async def scrub(self) -> None:
        await self._pass("scrub")
        await self.inner.scrub()

    async def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        await self._pass("records")
        async for key, record in self.inner.records():
            await self._pass("each record")
            yield key, record

    @property
    def changes(self) -> ChangeLog:
        return self.inner.changes

    async def records_of(self, keys: Collection[EntryKey]) -> dict[EntryKey, bytes]:
        await self._pass("records_of")
        return await self.inner.records_of(keys)

    async def claim(self, name: str, value: bytes) -> bytes:
        await self._pass("claim")
        return await self.inner.claim(name, value)

    async def count(self, ledger: str, amounts: Mapping[str, int]) -> None:
        await self._pass("count")
        await self.inner.count(ledger, amounts)

    async def counts(self, ledger: str) -> dict[str, int]:
        await self._pass("counts")
        return await self.inner.counts(ledger)

    async def uncount(self, ledger: str, names: Collection[str]) -> None:
        await self._pass("uncount")
        await self.inner.uncount(ledger, names)

    async def lease(self, name: str, token: bytes, ttl_s: float) -> bool:
        await self._pass("lease")
        return await self.inner.lease(name, token, ttl_s)

    async def release(self, name: str, token: bytes) -> None:
        await self._pass("release")
        await self.inner.release(name, token)

    async def aclose(self) -> None:
        await self._pass("aclose")
        await self.inner.aclose()

    async def called(self, method: str, times: int = 1) -> None:
        """Wait until ``method`` was called that often."""
        async with asyncio.timeout(10):
            while self.calls.count(method) < times:
                await asyncio.sleep(0)


def policy(text: str = POLICY) -> Policy:
    return compose(loads(text, "test.yaml"))


def batcher(encoder: Encoder | None = None, *, deadline_s: float = 10.0, queue: int = 9) -> Batcher:
    made = HashingEncoder(DIM, window=40) if encoder is None else encoder
    return Batcher(lambda: made, deadline_s=deadline_s, queue=queue)


def small_engine(
    clock: Clock,
    store: Store,
    embedder: Embedder,
    *,
    text: str = POLICY,
    capacity: int = 100,
    occupancy: Occupancy | None = None,
    hot_bytes: int = 1 << 20,
    write_limit: int = 100,
    flight_bytes: int = 1000,
    revalidate_s: float = 3600.0,
) -> tuple[Engine, Seen]:
    """Build an engine that has an epoch and whose writer is not started."""
    seen = Seen()
    memory = Memory(
        table=Table(occupancy or by_recency(capacity), lambda _category: CategoryIndex(DIM)),
        hot=HotPayloads(hot_bytes),
        standing=Standing(revalidate_s),
        writer=Writer(store, write_limit, seen),
        observer=seen,
        embedder=embedder,
    )
    scoping = Scoping(b"secret", "credential", share_anonymous=False, upstream="u", namespace="")
    rules = policy(text)
    engine = Engine(
        policy=rules,
        identity=Identity(scoping, embedder),
        memory=memory,
        store=store,
        embedder=embedder,
        decider=Decider(None, seen, clock),
        flights=Flights(flight_bytes),
        evidence=Evidence(rules, store, seen, clock, 30 * 86400.0, lambda: "none", scored=False),
        blocked=Blocked(clock, 30 * 86400.0),
        screening=Screening(
            rules, memory, embedder, seen, Background("screen", seen, workers=1, limit=9)
        ),
        observer=seen,
        clock=clock,
        epoch=EPOCH,
        learnt=True,
    )
    return engine, seen


@dataclass(frozen=True, slots=True)
class Running:
    """An engine at work, and what a test may look at and turn."""

    engine: Engine
    seen: Seen
    store: TroubledStore
    embedder: Embedder


@asynccontextmanager
async def running(
    clock: Clock, *, embedder: Embedder | None = None, **options: Any
) -> AsyncIterator[Running]:
    """Run an engine over a store of its own; at the end no task may be left."""
    before = asyncio.all_tasks()
    embedder = batcher() if embedder is None else embedder
    store = TroubledStore(clock)
    await embedder.open()
    engine, seen = small_engine(clock, store, embedder, **options)
    engine.memory.writer.start()
    yield Running(engine, seen, store, embedder)
    await engine.memory.writer.aclose(10.0)
    await embedder.aclose()
    assert asyncio.all_tasks() == before


def request(prompt: str, owner: str = "alice", **fields: Any) -> Request:
    """Make a request of ``owner``; nobody's with an empty name."""
    values: dict[str, Any] = {
        "dialect": "openai.chat",
        "path": "/v1/chat/completions",
        "model": "m",
        "prompt": prompt,
        "stream": False,
        "wants_usage": False,
        "frame": {"model": "m", "messages": []},
    }
    headers = [(b"authorization", owner.encode())] if owner else []
    return Request(Call(**(values | fields)), b"/v1/chat/completions", headers, Origin())


def answer(text: str = "yes", **fields: Any) -> Answer:
    return Answer("m", 1_700_000_000, (Choice(text, "stop"),), **fields)


def received(text: str = "yes", *, status: int = 200, **fields: Any) -> Received:
    return Received(answer(text, **fields), status)


async def leading(engine: Engine, asked: Request) -> Lead:
    outcome = await engine.lookup(asked)
    assert isinstance(outcome, Lead), outcome
    return outcome


async def fill(engine: Engine, asked: Request, text: str = "yes", **fields: Any) -> Admit | Refuse:
    """Ask the model for ``asked``, which says ``text``."""
    return settle(engine, await leading(engine, asked), received(text, **fields))


async def found(engine: Engine, asked: Request) -> Found:
    outcome = await engine.lookup(asked)
    assert isinstance(outcome, Found), outcome
    return outcome


def down() -> StoreError:
    return StoreError("down")


def payload(text: str = "yes", category: str = "default", created_s: float = 1.0) -> Payload:
    return Payload(answer(text), category, "a prompt", created_s, "openai.chat")


async def anew(engine: Any, asked: Request) -> Lead:
    """Lead although something near is stored."""
    directives = Directives(no_cache=True, ttl_s=asked.call.directives.ttl_s)
    return await leading(engine, request(asked.call.prompt, directives=directives))
