"""Opening, upkeep and closing, with everything that may be away meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from kindcache.cache import lifecycle as lifecycle_module
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.embedders.remote import RemoteEmbedder
from kindcache.cache.engine import Engine
from kindcache.cache.entries.entry import decode_record, encode
from kindcache.cache.errors import StartupError, StoreError
from kindcache.cache.events import Failed, Removed
from kindcache.cache.examples import Example, Examples
from kindcache.cache.index.build import Build
from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.lifecycle import Lifecycle
from kindcache.cache.outcome import Aside, Lead
from kindcache.cache.ports import Embedder, EntryKey
from kindcache.cache.replication.filling import BATCH
from kindcache.cache.settling import release, settle
from kindcache.policies.verdict import Reason, Tier
from tests.cache.small_engine import (
    DIM,
    Seen,
    TroubledStore,
    batcher,
    down,
    fill,
    found,
    leading,
    received,
    request,
    small_engine,
)
from tests.conftest import FakeClock
from tests.drivers.embedding_server import EmbeddingServer

pytestmark = pytest.mark.anyio

CODE = "show the code for sorting a list"
SAME_CODE = "please show the code for sorting a list"
MEDICAL = """
defaults: {similarity_threshold: 0.5}
categories: {medical: {cache: false}, weather: {ttl: 5m}}
"""
EXAMPLES = [Example("medical", "which pills help"), Example("weather", "will it rain")]


@pytest.fixture(autouse=True)
def _fast_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_module, "TICK_S", 0.001)


@dataclass(frozen=True, slots=True)
class Cache:
    """An engine and its lifecycle."""

    engine: Engine
    lifecycle: Lifecycle
    seen: Seen


def made(
    clock: FakeClock,
    store: TroubledStore,
    *,
    embedder: Embedder | None = None,
    examples: Sequence[Example] = (),
    **options: Any,
) -> Cache:
    engine, seen = small_engine(clock, store, embedder or batcher(), **options)
    engine.epoch, engine.learnt = None, False
    lifecycle = Lifecycle(engine, Examples(tuple(examples), 0.4, 0.05))
    return Cache(engine, lifecycle, seen)


@asynccontextmanager
async def opened(clock: FakeClock, store: TroubledStore, **options: Any) -> AsyncIterator[Cache]:
    before = asyncio.all_tasks()
    cache = made(clock, store, **options)
    await cache.lifecycle.open()
    yield cache
    await asyncio.wait_for(cache.lifecycle.aclose(), 20)
    assert asyncio.all_tasks() == before


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def records(store: TroubledStore) -> dict[EntryKey, bytes]:
    return {key: data async for key, data in store.inner.records()}


class Kept(TroubledStore):
    """Outlives the engines that close it, as a file or a server does."""

    async def aclose(self) -> None:
        await self._pass("aclose")


async def test_open_is_ready_for_lookups(clock: FakeClock) -> None:
    async with opened(clock, TroubledStore(clock)) as cache:
        await fill(cache.engine, request(CODE))
        await found(cache.engine, request(SAME_CODE))
        await until(lambda: cache.lifecycle.loaded)
        assert cache.lifecycle.health() == {
            "status": "ready",
            "problems": [],
            "index": "loaded",
            "entries": 1,
            "replication": {"behind_s": 0.0, "behind_changes": 0, "rebuilding": False},
        }


async def test_a_second_start_over_the_same_store_is_warm(clock: FakeClock) -> None:
    store = Kept(clock)
    async with opened(clock, store) as first:
        await fill(first.engine, request(CODE), "kept")
    async with opened(clock, store) as second:
        assert second.engine.epoch == first.engine.epoch
        await until(lambda: second.lifecycle.loaded)
        for words, tier in ((CODE, Tier.EXACT), (SAME_CODE, Tier.SEMANTIC)):
            hit = await found(second.engine, request(words))
            assert hit.hit.tier is tier
            assert hit.payload.answer.choices[0].text == "kept"


@pytest.mark.parametrize("method", ["open", "claim"])
async def test_a_store_away_at_start_is_stood_aside_for_until_it_is_back(
    method: str, clock: FakeClock
) -> None:
    store = Kept(clock)
    async with opened(clock, store) as before:
        await fill(before.engine, request(CODE))
    store.troubles[method] = down()
    async with opened(clock, store) as cache:
        outcome = await cache.engine.lookup(request(CODE))
        assert isinstance(outcome, Aside)
        assert outcome.bypass.reason is Reason.STARTING
        assert cache.lifecycle.health()["status"] == "degraded"
        assert cache.lifecycle.health()["problems"] == ["store"]
        assert cache.seen.of(Failed)[0] == Failed("open", "StoreError")
        await store.called(method, 3)  # it goes on trying
        store.troubles.clear()
        await until(lambda: cache.lifecycle.loaded)
        await found(cache.engine, request(SAME_CODE))
        assert cache.lifecycle.health()["status"] == "ready"


async def test_a_load_that_breaks_off_is_done_again(clock: FakeClock) -> None:
    store = Kept(clock)
    async with opened(clock, store) as first:
        for prompt in ("one", "two", "three"):
            await fill(first.engine, request(prompt))
    store.troubles["each record"] = down()
    async with opened(clock, store) as cache:
        await until(lambda: Failed("load", "StoreError") in cache.seen.events)
        assert not cache.lifecycle.loaded
        told: list[int] = []
        cache.lifecycle.when_loaded = lambda: told.append(len(cache.engine.memory.table))
        assert cache.lifecycle.health()["index"] == "loading"
        assert cache.lifecycle.health()["status"] == "ready"
        await found(cache.engine, request("one"))
        store.troubles.clear()
        await until(lambda: cache.lifecycle.loaded)
        assert told == [3]
        assert len(cache.engine.memory.table) == 3


async def test_while_it_loads_it_answers_and_takes_in_answers(clock: FakeClock) -> None:
    store = Kept(clock)
    async with opened(clock, store) as first:
        await fill(first.engine, request(CODE), "old")
        await fill(first.engine, request("the news"))
    gate = store.gates["each record"] = store.gates["records_of"] = asyncio.Event()
    async with opened(clock, store) as cache:
        await store.called("records_of")
        assert len(cache.engine.memory.table) == 0
        await found(cache.engine, request("the news"))
        await fill(cache.engine, request(SAME_CODE), "new")
        gate.set()
        await until(lambda: cache.lifecycle.loaded)
        assert len(cache.engine.memory.table) == 3
        assert (await found(cache.engine, request(CODE))).payload.answer.choices[0].text == "old"


async def test_records_that_cannot_be_read_are_counted_and_the_others_loaded(
    clock: FakeClock,
) -> None:
    store = Kept(clock)
    async with opened(clock, store) as first:
        await fill(first.engine, request(CODE))
    ((key, data),) = (await records(store)).items()
    good = decode_record(data)
    broken = [
        b"\xff",
        b"",
        data[:-4],
        encode(replace(good, vector=good.vector[:-1])),
        encode(replace(good, vector=good.vector[:-2])),
        encode(replace(good, vector=np.full(DIM, np.inf, "<f2").tobytes())),
    ]
    for number, record in enumerate(broken):
        await store.inner.put(EntryKey(number.to_bytes(16)), b"payload", record, 60.0)
    async with opened(clock, store) as cache:
        await until(lambda: cache.lifecycle.loaded)
        assert [entry.key for entry in cache.engine.memory.table] == [key]
        assert cache.seen.of(Failed) == [Failed("load", "CorruptRecord")] * len(broken)


async def test_loading_many_lets_others_have_their_turn(clock: FakeClock) -> None:
    store = Kept(clock)
    async with opened(clock, store) as first:
        await fill(first.engine, request("one"))
    ((_, data),) = (await records(store)).items()
    for number in range(2 * BATCH):
        await store.inner.put(EntryKey(number.to_bytes(16)), b"payload", data, 60.0)
    cache = made(clock, store, capacity=10_000)
    await cache.engine.embedder.open()
    loading = asyncio.create_task(cache.lifecycle.load())
    counts = set()
    while not loading.done():
        counts.add(len(cache.engine.memory.table))
        await asyncio.sleep(0)
    assert len(counts) >= 3
    assert len(cache.engine.memory.table) == 2 * BATCH + 1
    await cache.engine.embedder.aclose()


# Upkeep


async def test_upkeep_removes_what_has_expired(clock: FakeClock) -> None:
    async with opened(clock, TroubledStore(clock)) as cache:
        await fill(cache.engine, request("the news"))
        await fill(cache.engine, request(CODE))
        clock.advance(300.0)
        await until(lambda: len(cache.engine.memory.table) == 1)
        assert cache.seen.of(Removed) == [Removed(1, "expired")]


async def test_upkeep_follows_the_epoch_of_the_store(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    async with opened(clock, store) as cache:
        await fill(cache.engine, request(CODE))
        await cache.engine.memory.writer.drain()
        last = await store.changes.latest()
        await until(lambda: (cache.engine.position or 0) >= last)
        before = cache.engine.epoch
        store.inner._meta["epoch"] = b"a new one"
        await until(lambda: cache.engine.epoch != before)
        assert len(cache.engine.memory.table) == len(cache.engine.memory.hot) == 0
        assert (await leading(cache.engine, request(CODE))).miss.reason is Reason.NEW


async def test_a_lost_epoch_is_replaced_by_one_that_never_was(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    async with opened(clock, store) as cache:
        first = cache.engine.epoch
        store.inner._meta.clear()
        await cache.lifecycle.check_epoch()
        assert cache.engine.epoch not in {None, first}


async def test_a_store_that_cannot_tell_the_epoch_changes_nothing(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    async with opened(clock, store) as cache:
        await fill(cache.engine, request(CODE))
        epoch = cache.engine.epoch
        store.troubles["claim"] = down()
        await cache.lifecycle.check_epoch()
        assert cache.engine.epoch == epoch
        assert Failed("epoch", "StoreError") in cache.seen.events
        await found(cache.engine, request(CODE))


async def test_upkeep_survives_what_nobody_foresaw(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    store.troubles["records"] = ZeroDivisionError()
    async with opened(clock, store) as cache:
        await until(lambda: Failed("upkeep", "ZeroDivisionError") in cache.seen.events)
        store.troubles.clear()
        await until(lambda: cache.lifecycle.loaded)


# Examples


async def test_examples_decide_categories_once_it_is_open(clock: FakeClock) -> None:
    async with opened(clock, TroubledStore(clock), text=MEDICAL, examples=EXAMPLES) as cache:
        outcome = await cache.engine.lookup(request("which pills help me"))
        assert isinstance(outcome, Aside)
        assert outcome.bypass.category == "medical"
        assert (await leading(cache.engine, request("will it rain now"))).miss.category == "weather"


async def test_an_example_longer_than_the_window_is_left_out(clock: FakeClock) -> None:
    examples = [Example("medical", "word " * 60), *EXAMPLES[1:]]
    async with opened(clock, TroubledStore(clock), text=MEDICAL, examples=examples) as cache:
        assert cache.lifecycle.health()["status"] == "ready"
        assert (await leading(cache.engine, request("will it rain now"))).miss.category == "weather"


async def test_a_remote_embedder_away_at_start_is_learnt_from_later(clock: FakeClock) -> None:
    async def away(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    server = EmbeddingServer(DIM)
    server.answer = away
    await server.start()
    remote = RemoteEmbedder(server.url, "m", dim=DIM, window=40, deadline_s=5.0)
    store = TroubledStore(clock)
    async with opened(clock, store, embedder=remote, text=MEDICAL, examples=EXAMPLES) as cache:
        assert cache.lifecycle.health()["problems"] == ["embedder"]
        assert Failed("learn", "EmbedderError") in cache.seen.events
        lead = await leading(cache.engine, request("which pills help me"))
        settle(cache.engine, lead, received())
        assert len(cache.engine.memory.table) == 0
        server.answer = None
        await until(lambda: cache.lifecycle.health()["status"] == "ready")
        outcome = await cache.engine.lookup(request("which pills help me"))
        assert isinstance(outcome, Aside)
        assert outcome.bypass.category == "medical"
    await server.stop()


# Index builds


class Small(CategoryIndex):
    """Comes to its graphs early."""

    def __init__(self) -> None:
        super().__init__(DIM, slab_rows=2, graph_from=4)


async def some_entries(cache: Cache, first: int, count: int) -> None:
    for number in range(first, first + count):
        outcome = await cache.engine.lookup(request(f"{'word ' * number} code"))
        if isinstance(outcome, Lead):
            settle(cache.engine, outcome, received())


async def test_graphs_are_built_in_the_background(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    run = Build.run

    def noted(build: Build) -> None:
        threads.append(threading.current_thread())
        run(build)

    monkeypatch.setattr(Build, "run", noted)
    monkeypatch.setattr("tests.cache.small_engine.CategoryIndex", lambda _: Small())
    strict = "defaults: {similarity_threshold: 1.0}\ncategories: {code: {match: {pattern: code}}}"
    async with opened(clock, TroubledStore(clock), text=strict) as cache:
        await some_entries(cache, 1, 12)
        await until(lambda: threads)
        (index,) = cache.engine.memory.table.indexes()
        await until(lambda: index._building is None)
        assert threading.main_thread() not in threads
        vector = HashingEncoder(DIM).encode(["word word code"]).vectors[0]
        (entry,) = [e for e in cache.engine.memory.table if e.prompt == "word word  code"]
        near = cache.engine.memory.table.neighbours(["code"], entry.partition, vector, 1)
        assert near[0][0] == entry


async def test_a_build_that_fails_does_not_end_the_builder(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calls = Build.run, []

    def failing_first(build: Build) -> None:
        calls.append(build)
        if len(calls) == 1:
            raise RuntimeError("not enough memory")
        run(build)

    monkeypatch.setattr(Build, "run", failing_first)
    monkeypatch.setattr("tests.cache.small_engine.CategoryIndex", lambda _: Small())
    strict = "defaults: {similarity_threshold: 1.0}\ncategories: {code: {match: {pattern: code}}}"
    async with opened(clock, TroubledStore(clock), text=strict) as cache:
        await some_entries(cache, 1, 12)
        await until(lambda: Failed("index.build", "RuntimeError") in cache.seen.events)
        await some_entries(cache, 13, 1)
        await until(lambda: len(calls) > 1)
        (index,) = cache.engine.memory.table.indexes()
        await until(lambda: index._building is None)


async def test_closing_cancels_a_build_under_way(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, ended = threading.Event(), threading.Event()

    def until_cancelled(build: Build) -> None:
        entered.set()
        give_up_at = time.monotonic() + 10
        while not build._cancelled and time.monotonic() < give_up_at:
            time.sleep(0.001)
        if build._cancelled:
            ended.set()

    monkeypatch.setattr(Build, "run", until_cancelled)
    monkeypatch.setattr("tests.cache.small_engine.CategoryIndex", lambda _: Small())
    strict = "defaults: {similarity_threshold: 1.0}\ncategories: {code: {match: {pattern: code}}}"
    async with opened(clock, TroubledStore(clock), text=strict) as cache:
        await some_entries(cache, 1, 12)
        await asyncio.to_thread(entered.wait, 10)
    assert await asyncio.to_thread(ended.wait, 10)


# Closing


async def test_closing_finishes_the_writes(clock: FakeClock) -> None:
    store = Kept(clock)
    async with opened(clock, store) as cache:
        for number in range(20):
            await fill(cache.engine, request(f"question {number} of the day {'x' * number}"))
    assert len(await records(store)) == len(cache.engine.memory.table) > 1
    assert store.calls[-1] == "aclose"


async def test_closing_twice_and_closing_what_was_never_open(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    async with opened(clock, store) as cache:
        await cache.lifecycle.aclose()
    await made(clock, TroubledStore(clock)).lifecycle.aclose()


async def test_closing_over_a_store_that_hangs_ends_in_time(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    async with opened(clock, store) as cache:
        store.gates["put"] = asyncio.Event()
        await fill(cache.engine, request(CODE))
        cache.lifecycle.close_deadline_s = 0.01
    assert Failed("writer.close", "TimeoutError") in cache.seen.events
    assert "aclose" in store.calls


async def test_a_store_that_cannot_close_is_counted_and_no_error(clock: FakeClock) -> None:
    store = TroubledStore(clock)
    async with opened(clock, store) as cache:
        store.troubles["aclose"] = StoreError("too late")
    assert Failed("close", "StoreError") in cache.seen.events


async def test_an_embedder_that_cannot_work_fails_the_start_and_can_be_closed(
    clock: FakeClock,
) -> None:
    def load() -> HashingEncoder:
        raise StartupError("no such model")

    from kindcache.cache.embedders.batching import Batcher

    before = asyncio.all_tasks()
    cache = made(clock, TroubledStore(clock), embedder=Batcher(load))
    with pytest.raises(StartupError, match="no such model"):
        await cache.lifecycle.open()
    await cache.lifecycle.aclose()
    assert asyncio.all_tasks() == before


async def test_lookups_in_flight_at_closing_end(clock: FakeClock) -> None:
    async with opened(clock, TroubledStore(clock)) as cache:
        lead = await leading(cache.engine, request(CODE))
    release(cache.engine, lead)
    outcome = await cache.engine.lookup(request(CODE))
    assert isinstance(outcome, Aside)
