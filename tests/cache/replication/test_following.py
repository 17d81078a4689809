"""Engines on one store follow each other, whatever is away, late or lost meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from kindcache.cache import lifecycle as lifecycle_module
from kindcache.cache.engine import Engine
from kindcache.cache.entries.entry import decode_record
from kindcache.cache.events import Failed, Rebuilt, Removed
from kindcache.cache.examples import Examples
from kindcache.cache.lifecycle import Lifecycle
from kindcache.cache.outcome import Lead
from kindcache.cache.ports import EntryKey, News
from kindcache.cache.removing.invalidating import invalidate
from kindcache.cache.removing.invalidation import new
from kindcache.cache.replication import following
from kindcache.cache.settling import release, settle
from kindcache.cache.stores.memory_log import MemoryLog
from kindcache.policies.selecting import Selector
from kindcache.policies.verdict import Reason, Tier
from tests.cache.small_engine import (
    Seen,
    TroubledStore,
    anew,
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

pytestmark = pytest.mark.anyio

CODE = "show the code for sorting a list"
SAME_CODE = "please show the code for sorting a list"


@pytest.fixture(autouse=True)
def _fast_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_module, "TICK_S", 0.001)
    monkeypatch.setattr(following, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(following, "WAIT_S", 0.05)


class Shared(TroubledStore):
    """Outlives the engines that close it, as a server does."""

    async def aclose(self) -> None:
        await self._pass("aclose")

    def restart_empty(self) -> None:
        """Lose everything, as a server without a disk does."""
        self.inner._rows.clear()
        self.inner._log._changes.clear()
        self.inner._log._last = 0

    def forget_changes(self) -> None:
        """Trim the log to nothing."""
        self.inner._log._changes.clear()


@dataclass(frozen=True, slots=True)
class Replica:
    """An engine and what belongs to it."""

    engine: Engine
    lifecycle: Lifecycle
    seen: Seen

    async def caught_up(self) -> None:
        """Wait until this replica has carried out all that the store was told so far."""
        await self.engine.memory.writer.drain()
        log = self.engine.store.changes
        last = await log.latest()
        await until(lambda: self.engine.position is not None and self.engine.position >= last)


@asynccontextmanager
async def replica(clock: FakeClock, store: TroubledStore, **options: Any) -> AsyncIterator[Replica]:
    before = asyncio.all_tasks()
    engine, seen = small_engine(clock, store, batcher(), **options)
    engine.epoch, engine.learnt = None, False
    lifecycle = Lifecycle(engine, Examples())
    await lifecycle.open()
    await until(lambda: lifecycle.loaded)
    yield Replica(engine, lifecycle, seen)
    await asyncio.wait_for(lifecycle.aclose(), 20)
    assert asyncio.all_tasks() == before


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def missed(engine: Engine, prompt: str) -> Reason:
    """Ask, and return why there is no answer."""
    lead = await leading(engine, request(prompt))
    release(engine, lead)
    return lead.miss.reason


def text_of(hit: Any) -> str:
    text = hit.payload.answer.choices[0].text
    assert isinstance(text, str)
    return text


async def test_an_answer_of_one_is_found_by_meaning_at_the_other(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        await fill(one.engine, request(CODE), "from one")
        await one.engine.memory.writer.drain()
        await other.caught_up()
        hit = await found(other.engine, request(SAME_CODE))
        assert hit.hit.tier is Tier.SEMANTIC
        assert text_of(hit) == "from one"


async def test_what_one_deletes_the_other_does_not_serve(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        await fill(one.engine, request(CODE))
        await one.engine.memory.writer.drain()
        await other.caught_up()
        hit = await found(other.engine, request(SAME_CODE))  # hot there now, and an alias
        one.engine.memory.remove([EntryKey(hit.hit.key)], "purged")
        await one.engine.memory.writer.drain()
        await other.caught_up()
        assert len(other.engine.memory.table) == len(other.engine.memory.hot) == 0
        for words in (CODE, SAME_CODE):
            assert await missed(other.engine, words) is Reason.NEW
        assert other.seen.of(Removed) == [Removed(1, "elsewhere")]
        assert store.calls.count("delete") == 1  # nobody deletes it once more


async def test_a_newer_answer_of_one_replaces_the_old_one_of_the_other(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        await fill(one.engine, request(CODE), "old")
        await one.engine.memory.writer.drain()
        await other.caught_up()
        assert text_of(await found(other.engine, request(CODE))) == "old"
        clock.advance(1.0)
        settle(one.engine, await anew(one.engine, request(CODE)), received("new"))
        await one.engine.memory.writer.drain()
        await other.caught_up()
        for words in (CODE, SAME_CODE):
            assert text_of(await found(other.engine, request(words))) == "new"
        assert len(other.engine.memory.table) == 1


async def test_ones_own_answers_stay_hot(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one:
        await fill(one.engine, request(CODE))
        await one.engine.memory.writer.drain()
        await one.caught_up()
        reads = store.calls.count("get")
        await found(one.engine, request(CODE))
        assert store.calls.count("get") == reads


async def test_what_is_deleted_while_it_is_read_is_not_kept(clock: FakeClock) -> None:
    """The entry is known to the store alone: no table says that it went."""
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        await fill(one.engine, request(CODE))
        await one.engine.memory.writer.drain()
        await other.caught_up()
        key = next(iter(one.engine.memory.table.keys_of()))
        other.engine.memory.forget([key])
        gate = store.gates["get"] = asyncio.Event()
        reads = store.calls.count("get")
        asking = asyncio.create_task(other.engine.lookup(request(CODE)))
        await store.called("get", reads + 1)
        one.engine.memory.remove([key], "purged")
        await one.engine.memory.writer.drain()
        await other.caught_up()
        gate.set()
        outcome = await asking
        assert isinstance(outcome, Lead)
        release(other.engine, outcome)
        del store.gates["get"]
        assert await missed(other.engine, CODE) is Reason.NEW


async def test_what_was_deleted_in_a_gap_is_dropped(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        await fill(one.engine, request(CODE))
        await fill(one.engine, request("the news"))
        await one.engine.memory.writer.drain()
        await other.caught_up()
        await found(other.engine, request(CODE))
        store.troubles["records"] = down()
        key = EntryKey((await found(one.engine, request(CODE))).hit.key)
        await store.inner.delete([key])
        store.forget_changes()
        await until(lambda: Rebuilt("trimmed") in other.seen.events)
        # Before the records have been read, the store is asked.
        await missed(other.engine, CODE)
        await found(other.engine, request("the news"))
        assert other.lifecycle.follower.behind().rebuilding
        store.troubles.clear()
        await until(lambda: other.engine.position is not None)
        assert list(other.engine.memory.table.keys_of()) == [
            key_ async for key_, _ in store.inner.records()
        ]


async def test_a_store_that_lost_everything_leaves_nothing(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one:
        await fill(one.engine, request(CODE))
        await one.engine.memory.writer.drain()
        await one.caught_up()
        store.restart_empty()
        await until(lambda: Rebuilt("behind") in one.seen.events)
        await until(lambda: len(one.engine.memory.table) == 0)
        assert await missed(one.engine, CODE) is Reason.NEW


async def test_a_notice_that_records_changed_has_them_read(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        await fill(one.engine, request(CODE))
        await one.engine.memory.writer.drain()
        await other.caught_up()
        store.inner._rows.clear()  # without a word
        await store.changes.tell([News("notice", b"records")])
        await until(lambda: Rebuilt("told") in other.seen.events)
        await until(lambda: len(other.engine.memory.table) == 0)


async def test_a_store_that_is_away_is_followed_again_once_it_is_back(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:

        async def away(*_: object) -> Any:
            raise down()

        with monkeypatch.context() as patch:
            patch.setattr(MemoryLog, "since", away)
            await store.changes.tell([News("notice", b"nothing")])  # wakes who waits
            await until(lambda: Failed("follow", "StoreError") in other.seen.events)
            await fill(one.engine, request(CODE))
            await one.engine.memory.writer.drain()
            await until(lambda: other.lifecycle.follower.behind().seconds > 0.1)
        await other.caught_up()
        await found(other.engine, request(SAME_CODE))
        assert other.lifecycle.follower.behind().seconds == 0.0


async def test_an_answer_whose_write_failed_is_forgotten_when_the_store_is_back(
    clock: FakeClock,
) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one:
        store.troubles["put"] = down()
        await fill(one.engine, request(CODE))
        await one.engine.memory.writer.drain()
        store.troubles.clear()
        await until(lambda: len(one.engine.memory.table) == 0)


async def test_a_deletion_that_failed_is_made_when_the_store_is_back(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        await fill(one.engine, request(CODE))
        await one.engine.memory.writer.drain()
        await other.caught_up()
        store.troubles["delete"] = down()
        one.engine.memory.remove(list(one.engine.memory.table.keys_of()), "purged")
        await one.engine.memory.writer.drain()
        assert [key async for key, _ in store.inner.records()]
        store.troubles.clear()
        await until(lambda: len(other.engine.memory.table) == 0)
        assert len(one.engine.memory.table) == 0
        assert [key async for key, _ in store.inner.records()] == []


async def test_both_store_an_answer_at_once_and_end_with_the_same(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        leads = [await leading(at.engine, request(CODE)) for at in (one, other)]
        settle(one.engine, leads[0], received("of one"))
        clock.advance(1.0)
        settle(other.engine, leads[1], received("of the other, longer"))
        for at in (one, other, one):
            await at.caught_up()
        await until(lambda: not one.lifecycle.follower._unsettled)
        await until(lambda: not other.lifecycle.follower._unsettled)
        (record,) = [decode_record(data) async for _, data in store.inner.records()]
        for at in (one, other):
            (entry,) = at.engine.memory.table
            assert (entry.created_s, entry.size_bytes) == (record.created_s, record.size_bytes)
        texts = {text_of(await found(at.engine, request(CODE))) for at in (one, other)}
        assert len(texts) == 1


async def test_erasures_and_blocks_are_heard_of_at_once(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle_module, "BLOCKED_EVERY_TICKS", 10**9)
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        await fill(one.engine, request(CODE))
        await one.engine.memory.writer.drain()
        await other.caught_up()
        hit = await found(other.engine, request(CODE))
        one.engine.blocked.withdraw(EntryKey(hit.hit.key), hit.payload.created_s)
        await one.engine.blocked.send(store)
        await other.caught_up()
        assert await missed(other.engine, CODE) is Reason.BLOCKED


async def test_an_answer_after_an_invalidation_that_is_not_known_yet_is_taken_in_once_it_is(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same is invalidated twice; the answer bears the second alone, for the first is over."""
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        code = Selector(categories=("code",))
        await invalidate(one.engine, code, None)
        await until(lambda: other.engine.invalidated.known == one.engine.invalidated.known)
        await other.caught_up()

        async def late(_store: object) -> None:
            await asyncio.sleep(0)

        with monkeypatch.context() as patch:
            patch.setattr(other.engine.invalidated, "read", late)
            patch.setattr(lifecycle_module, "sweep", late)  # which reads the ledger first, else
            one.engine.invalidated.add(new(code, None, clock() + 1e6))
            await one.engine.invalidated.send(store)
            await fill(one.engine, request(CODE))
            await until(lambda: len(other.engine.left_out) == 1)
            assert len(one.engine.memory.table) == 1
            assert len(other.engine.memory.table) == 0
        await until(lambda: len(other.engine.memory.table) == 1)
        await found(other.engine, request(SAME_CODE))
        assert len(other.engine.left_out) == 0


async def test_a_new_replica_takes_in_the_newest_first(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store, capacity=1000) as one:
        for number in range(300):
            await fill(one.engine, request(f"letter {number}"))
            await one.engine.memory.writer.drain()
        newest = list(await store.changes.admitted(1))
    engine, _ = small_engine(clock, store, batcher(), capacity=1000)
    await engine.embedder.open()
    lifecycle = Lifecycle(engine, Examples())
    loading = asyncio.create_task(lifecycle.load())
    while not len(engine.memory.table):
        await asyncio.sleep(0)
    held = set(engine.memory.table.keys_of())
    assert newest[0] in held
    assert len(held) < 300
    await loading
    assert len(engine.memory.table) == 300
    await engine.embedder.aclose()


async def test_health_says_how_far_behind(clock: FakeClock) -> None:
    store = Shared(clock)
    async with replica(clock, store) as one, replica(clock, store) as other:
        gate = store.gates["records_of"] = asyncio.Event()
        await fill(one.engine, request(CODE))
        await until(lambda: other.lifecycle.follower.behind().changes == 1)
        assert other.lifecycle.health()["replication"] == {
            "behind_s": pytest.approx(0.0, abs=5.0),
            "behind_changes": 1,
            "rebuilding": False,
        }
        gate.set()
        await other.caught_up()
        await until(lambda: other.lifecycle.follower.behind().changes == 0)
