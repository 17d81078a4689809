"""Nothing is lost while the store is away, and nothing counts twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest

from kindcache.cache.errors import StoreError
from kindcache.cache.learning import ledger as ledger_module
from kindcache.cache.learning.fact import Fact, Sent
from kindcache.cache.learning.ledger import NAME, Ledger
from kindcache.policies.calibration import Cell
from kindcache.policies.observation import Source
from tests.conftest import FakeClock

from ..small_engine import TroubledStore, down

pytestmark = pytest.mark.anyio

TODAY = 19_000
FIRST = TODAY - 30
RIGHT = Fact(TODAY, "code", Cell(Source.CHECK, 30, correct=True, floor=28))
WRONG = Fact(TODAY, "code", Cell(Source.CHECK, 30, correct=False, floor=28))
HIT = Fact(TODAY, "code", Sent(30))


class Late(TroubledStore):
    """Carries deliveries out, and then fails all the same."""

    late = True

    async def count(self, ledger: str, amounts: Mapping[str, int]) -> None:
        await super().count(ledger, amounts)
        if self.late:
            raise StoreError("no answer in time")


@pytest.fixture
def store(clock: FakeClock) -> TroubledStore:
    return TroubledStore(clock)


class Learning(Ledger):
    """Adds up what it is told."""

    known: Counter[Fact]
    told: int  # times


def made(store: TroubledStore, of: str = "abc") -> Learning:
    def learn(fact: Fact, amount: int) -> None:
        ledger.known[fact] += amount
        ledger.told += 1

    ledger = Learning(store, lambda: of, learn)
    ledger.known, ledger.told = Counter(), 0
    return ledger


def total(ledger: Learning) -> dict[Fact, int]:
    return {fact: amount for fact, amount in ledger.known.items() if amount}


async def test_what_is_added_counts_at_once_and_is_sent_in_one_call(store: TroubledStore) -> None:
    ledger = made(store)
    for fact in (RIGHT, RIGHT, WRONG, HIT):
        assert ledger.add(fact)
    assert total(ledger) == {RIGHT: 2, WRONG: 1, HIT: 1}
    await ledger.send(FIRST, TODAY)
    assert total(ledger) == {RIGHT: 2, WRONG: 1, HIT: 1}
    assert not ledger.waiting
    assert store.calls.count("count") == 1
    await ledger.send(FIRST, TODAY)
    assert store.calls.count("count") == 1  # nothing new


async def test_processes_add_up_and_none_counts_itself_twice(store: TroubledStore) -> None:
    one, two = made(store), made(store)
    for turn in range(3):
        one.add(RIGHT)
        two.add(RIGHT)
        two.add(WRONG)
        await one.send(FIRST, TODAY)
        await two.send(FIRST, TODAY)
        await one.read(FIRST)
        assert total(one) == {RIGHT: 2 * turn + 2, WRONG: turn + 1}
    await two.read(FIRST)
    assert total(two) == total(one)
    told = two.told
    await two.read(FIRST)
    assert two.told == told  # no news


async def test_a_new_process_reads_before_it_sends(store: TroubledStore) -> None:
    before = made(store)
    before.add(RIGHT)
    await before.send(FIRST, TODAY)
    after = made(store)
    after.add(RIGHT)
    await after.send(FIRST, TODAY)
    assert total(after) == {RIGHT: 2}


async def test_a_store_that_fails_loses_nothing(store: TroubledStore) -> None:
    ledger = made(store)
    for method in ("counts", "count"):
        store.troubles = {method: down()}
        ledger.add(RIGHT)
        with pytest.raises(StoreError):
            await ledger.send(FIRST, TODAY)
        assert ledger.waiting
    assert total(ledger) == {RIGHT: 2}
    store.troubles.clear()
    await ledger.send(FIRST, TODAY)
    again = made(store)
    await again.read(FIRST)
    assert total(again) == total(ledger) == {RIGHT: 2}


async def test_a_delivery_that_arrived_unheard_does_not_count_twice(clock: FakeClock) -> None:
    store = Late(clock)
    ledger = made(store)
    for day in (TODAY, TODAY, TODAY + 1):
        ledger.add(RIGHT)
        with pytest.raises(StoreError):
            await ledger.send(FIRST, day)
    store.late = False
    ledger.add(WRONG)
    await ledger.send(FIRST, TODAY + 1)
    again = made(store)
    await again.read(FIRST)
    assert total(again) == total(ledger) == {RIGHT: 3, WRONG: 1}


async def test_a_cancelled_delivery_is_looked_after(store: TroubledStore) -> None:
    ledger = made(store)
    ledger.add(RIGHT)
    store.gates["count"] = asyncio.Event()
    sending = asyncio.create_task(ledger.send(FIRST, TODAY))
    await store.called("count")
    ledger.add(WRONG)
    sending.cancel()
    await asyncio.wait({sending})
    assert total(ledger) == {RIGHT: 1, WRONG: 1}
    store.gates.clear()
    await ledger.send(FIRST, TODAY)
    again = made(store)
    await again.read(FIRST)
    assert total(again) == {RIGHT: 1, WRONG: 1}


async def test_two_that_send_at_once_send_it_once(store: TroubledStore) -> None:
    ledger = made(store)
    ledger.add(RIGHT)
    store.gates["count"] = asyncio.Event()
    sending = [asyncio.create_task(ledger.send(FIRST, TODAY)) for _ in range(3)]
    await store.called("count")
    ledger.add(RIGHT)
    store.gates["count"].set()
    await asyncio.gather(*sending)
    again = made(store)
    await again.read(FIRST)
    assert total(again) == total(ledger) == {RIGHT: 2}


async def test_a_store_that_forgot_everything_is_believed(store: TroubledStore) -> None:
    ledger = made(store)
    ledger.add(RIGHT)
    await ledger.send(FIRST, TODAY)
    store.inner._counters.clear()
    await ledger.read(FIRST)
    assert total(ledger) == {}
    store.troubles["count"] = down()
    ledger.add(WRONG)
    with pytest.raises(StoreError):
        await ledger.send(FIRST, TODAY)
    store.troubles.clear()
    await ledger.send(FIRST, TODAY)
    assert total(ledger) == {WRONG: 1}


async def test_what_waits_is_bounded(store: TroubledStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MOST_WAITING", 2)
    ledger = made(store)
    assert ledger.add(RIGHT)
    assert ledger.add(WRONG)
    assert not ledger.add(HIT)
    assert ledger.add(WRONG)  # one that is known costs nothing
    await ledger.send(FIRST, TODAY)
    assert ledger.add(HIT)
    assert total(ledger) == {RIGHT: 1, WRONG: 2, HIT: 1}


async def test_days_before_the_first_are_dropped_whoever_wrote_them(store: TroubledStore) -> None:
    other, ledger = made(store, "of another scorer"), made(store)
    for one in (other, ledger):
        one.add(RIGHT)
        await one.send(FIRST, TODAY)
    await store.inner.count(NAME, {"something else": 5})
    ledger.add(RIGHT)  # never sent: too old by then
    await ledger.read(TODAY + 1)
    await ledger.send(TODAY + 1, TODAY + 1)
    assert await store.inner.counts(NAME) == {"something else": 5}
    await ledger.read(TODAY + 1)
    assert total(ledger) == {RIGHT: 2}  # who was told of a day forgets it without being told


async def test_old_days_that_cannot_be_dropped_do_not_hide_the_others(
    store: TroubledStore,
) -> None:
    ledger, after = made(store), made(store)
    for day in (TODAY - 40, TODAY):
        ledger.add(Fact(day, "code", Sent(3)))
    await ledger.send(TODAY - 50, TODAY)
    store.troubles["uncount"] = down()
    with pytest.raises(StoreError):
        await after.read(FIRST)
    assert total(after) == {Fact(TODAY, "code", Sent(3)): 1}


async def test_what_another_scorer_gave_does_not_count(store: TroubledStore) -> None:
    other, ledger = made(store, "of another scorer"), made(store)
    other.add(WRONG)
    await other.send(FIRST, TODAY)
    await ledger.read(FIRST)
    assert total(ledger) == {}
    await other.read(FIRST)
    assert total(other) == {WRONG: 1}  # and is still there


async def test_what_another_process_drops_is_taken_back(store: TroubledStore) -> None:
    ledger, other = made(store), made(store)
    ledger.add(RIGHT)
    await ledger.send(FIRST, TODAY)
    await other.read(TODAY + 1)  # its window is shorter
    await ledger.read(FIRST)
    assert total(ledger) == {}
