"""What is to be remembered is: in bounds, across restarts, among several processes, for a while."""

from __future__ import annotations

import pytest

from kindcache.cache.learning.notices import Notices
from tests.cache.small_engine import TroubledStore, down
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

KEY = b"k" * 32


def made(clock: FakeClock, limit: int = 9) -> Notices:
    return Notices("test", clock, limit)


async def test_another_process_reads_what_one_sent(clock: FakeClock) -> None:
    store, one, other = TroubledStore(clock), made(clock), made(clock)
    assert one.add(KEY, clock() + 10, 1_700_000_000.123456)
    await one.send(store)
    await other.read(store)
    assert list(other) == [KEY]
    assert other.get(KEY) == 1_700_000_000.123456
    assert other.get(b"another") is None


async def test_what_is_known_is_neither_added_nor_sent_again(clock: FakeClock) -> None:
    store, one = TroubledStore(clock), made(clock)
    assert one.add(KEY, clock() + 10, 5.0)
    assert not one.add(KEY, clock() + 99, 5.0)
    assert not one.add(KEY, clock() + 99, 4.0)
    await one.send(store)
    await one.send(store)
    assert store.calls.count("count") == 1
    assert len(await store.counts("test")) == 1


async def test_the_larger_figure_and_the_later_expiry_hold(clock: FakeClock) -> None:
    store, one, other = TroubledStore(clock), made(clock), made(clock)
    one.add(KEY, clock() + 100, 5.0)
    other.add(KEY, clock() + 10, 6.0)
    await one.send(store)
    await other.send(store)
    await one.read(store)
    assert one.get(KEY) == 6.0
    assert len(await store.counts("test")) == 2  # each says what the other does not
    clock.advance(50)
    await one.read(store)
    assert one.get(KEY) == 6.0
    assert one.add(KEY, clock() + 10, 7.0)


async def test_past_the_limit_nothing_is_taken_and_what_is_there_stays(clock: FakeClock) -> None:
    store, many, few = TroubledStore(clock), made(clock), made(clock, limit=2)
    for number in range(5):
        assert many.add(bytes([number]), clock() + 10)
    await many.send(store)
    assert few.add(KEY, clock() + 10)
    await few.read(store)
    assert len(few) == 2
    assert few.get(KEY) == 0.0
    assert not few.add(b"one more", clock() + 10)
    clock.advance(11)
    await few.read(store)
    assert few.add(b"one more", clock() + 10)


async def test_what_has_expired_is_forgotten_here_and_in_the_store(clock: FakeClock) -> None:
    store, one = TroubledStore(clock), made(clock)
    one.add(KEY, clock() + 10)
    one.add(b"longer", clock() + 100)
    await one.send(store)
    clock.advance(11)
    await one.read(store)
    assert list(one) == [b"longer"]
    assert len(await store.counts("test")) == 1


async def test_a_store_that_is_away_is_told_later(clock: FakeClock) -> None:
    store, one, other = TroubledStore(clock), made(clock), made(clock)
    one.add(KEY, clock() + 10)
    store.troubles["count"] = down()
    with pytest.raises(type(down())):
        await one.send(store)
    del store.troubles["count"]
    await one.send(store)
    await other.read(store)
    assert list(other) == [KEY]


@pytest.mark.parametrize("name", ["", "<", "zz<1.0@5", "00<x@5", "00<1.0@x", "00<1.0", "00@9"])
async def test_names_that_another_version_wrote_are_left_alone(name: str, clock: FakeClock) -> None:
    store, one = TroubledStore(clock), made(clock)
    await store.count("test", {name: 1})
    await one.read(store)
    assert len(one) == 0
    assert await store.counts("test") == {name: 1}


async def test_a_key_that_is_noted_often_takes_one_name_in_the_store(clock: FakeClock) -> None:
    store, one, other = TroubledStore(clock), made(clock), made(clock)
    for number in range(20):
        clock.advance(1)
        assert one.add(KEY, clock() + 100, float(number))
        await one.send(store)
    await other.read(store)
    assert other.get(KEY) == 19.0
    assert len(await store.counts("test")) == 1
    again = made(clock)
    await again.read(store)
    assert again.get(KEY) == 19.0
