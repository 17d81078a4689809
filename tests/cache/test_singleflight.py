"""Flights: their messages are shared, and every way out ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from kindcache.cache.ports import EntryKey
from kindcache.cache.singleflight import Flight, Flights, Message
from tests.cache.small_engine import payload

pytestmark = pytest.mark.anyio

LIMIT_BYTES = 10
STREAMED = (True, False)
ONE, OTHER = EntryKey(b"1" * 16), EntryKey(b"2" * 16)
START: Message = {"type": "http.response.start", "status": 200}


def body(text: bytes) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": True}


async def read(flight: Flight) -> list[Message]:
    return [message async for message in flight.messages()]


async def soon(work: Awaitable[object]) -> object:
    return await asyncio.wait_for(work, 10)


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def led(limit_bytes: int = LIMIT_BYTES) -> tuple[Flights, Flight]:
    flights = Flights(limit_bytes)
    return flights, flights.lead(ONE, STREAMED)


async def test_calls_with_equal_keys_share_a_flight_and_others_do_not() -> None:
    flights, flight = led()
    assert flights.join(ONE) is flight
    assert flights.join(OTHER) is None
    assert list(flights) == [flight]
    assert (len(flights), flight.followers, flight.rendering) == (1, 1, STREAMED)


async def test_followers_early_and_late_get_all_messages_from_the_first() -> None:
    flights, flight = led()
    messages = [START, body(b"a"), body(b"b"), body(b"c")]
    readers = []
    for message in messages:
        joined = flights.join(ONE)
        assert joined is not None
        readers.append(asyncio.create_task(read(joined)))
        flight.publish(message)
        await turns()
    late = flights.join(ONE)
    assert late is not None
    flights.land(ONE, flight, None)
    readers.append(asyncio.create_task(read(late)))
    assert await soon(asyncio.gather(*readers)) == [messages] * 5


async def test_messages_come_as_they_are_published() -> None:
    flights, flight = led()
    flights.join(ONE)
    messages = flight.messages()
    flight.publish(START)
    assert await anext(messages) == START
    following = asyncio.ensure_future(anext(messages))
    await turns()
    assert not following.done()
    flight.publish(body(b"a"))
    assert await soon(following) == body(b"a")


@pytest.mark.parametrize("shared", [True, False])
async def test_landing_frees_everyone_who_waits(shared: bool) -> None:
    flights, flight = led()
    waiting = [asyncio.create_task(flight.wait()) for _ in range(3)]
    reading = asyncio.create_task(read(flight))
    await turns()
    result = payload() if shared else None
    flights.land(ONE, flight, result)
    assert await soon(asyncio.gather(*waiting)) == [result] * 3
    assert await soon(reading) == []
    assert await soon(flight.wait()) is result
    assert len(flights) == 0
    assert flights.join(ONE) is None


async def test_a_flight_ends_once() -> None:
    flights, flight = led()
    answer = payload()
    flights.land(ONE, flight, answer)
    flights.land(ONE, flight, None)
    flight.end(None)
    assert await soon(flight.wait()) is answer


async def test_past_the_limit_nobody_may_join_and_nothing_is_kept_for_nobody() -> None:
    flights, flight = led()
    flight.publish(START)
    flight.publish(body(b"x" * LIMIT_BYTES))
    assert flights.join(ONE) is flight
    flight.leave()
    alone = flights.lead(OTHER, STREAMED)
    for _ in range(1000):
        alone.publish(body(b"x" * LIMIT_BYTES))
    assert flights.join(OTHER) is None
    flights.land(OTHER, alone, None)
    assert await soon(read(alone)) == []


async def test_past_the_limit_those_who_follow_still_get_everything() -> None:
    flights, flight = led()
    follower = flights.join(ONE)
    assert follower is not None
    reading = asyncio.create_task(read(follower))
    messages = [START, *(body(bytes([n]) * LIMIT_BYTES) for n in range(20))]
    for message in messages:
        flight.publish(message)
        await turns()
    assert flights.join(ONE) is None
    flights.land(ONE, flight, None)
    assert await soon(reading) == messages


async def test_past_the_limit_a_follower_outlives_the_leaders_client() -> None:
    flights, flight = led()
    flight.publish(START)
    follower = flights.join(ONE)
    assert follower is not None
    reading = asyncio.create_task(read(follower))
    await turns()
    flight.leave()  # the leader's client; the call goes on for the follower
    messages = [body(bytes([n]) * LIMIT_BYTES) for n in range(5)]
    for message in messages:
        flight.publish(message)
        await turns()
    flights.land(ONE, flight, None)
    assert await soon(reading) == [START, *messages]


async def test_a_flight_too_large_to_join_makes_way_for_another() -> None:
    flights, first = led()
    first.publish(body(b"x" * (LIMIT_BYTES + 1)))
    second = flights.lead(ONE, STREAMED)
    flights.land(ONE, first, None)  # must not end the second
    assert flights.join(ONE) is second
    assert first.ended
    assert not second.ended


async def test_the_call_is_abandoned_when_the_last_reader_has_left() -> None:
    flights, flight = led()
    flights.join(ONE)
    gone = asyncio.create_task(flight.abandoned())
    flight.leave()
    await turns()
    assert not gone.done()
    assert flight.followers == 0
    flight.leave()
    await soon(gone)


async def test_a_cancelled_follower_takes_nothing_from_the_others() -> None:
    flights, flight = led()
    one, other, waiting = (
        asyncio.create_task(read(flight)),
        asyncio.create_task(read(flight)),
        asyncio.create_task(flight.wait()),
    )
    await turns()
    one.cancel()
    waiting.cancel()
    await asyncio.gather(one, waiting, return_exceptions=True)
    flight.publish(START)
    flights.land(ONE, flight, None)
    assert await soon(other) == [START]


@pytest.mark.parametrize("way_out", ["return", "error", "cancelled"])
async def test_every_way_out_of_a_leader_that_lands_frees_the_followers(way_out: str) -> None:
    flights, flight = led()
    forever = asyncio.Event()

    async def lead() -> None:
        try:
            flight.publish(START)
            if way_out == "error":
                raise ConnectionError
            if way_out == "cancelled":
                await forever.wait()
        finally:
            flights.land(ONE, flight, None)

    flights.join(ONE)
    following = asyncio.create_task(read(flight))
    leader = asyncio.create_task(lead())
    await turns()
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    assert await soon(following) == [START]
    assert len(flights) == 0


async def test_followers_of_a_flight_without_an_answer_go_one_at_a_time() -> None:
    flights, flight = led()
    calls = 0

    async def ask(joined: Flight) -> None:
        """Follow; lead if there was nothing to share, as the one that asks again first does."""
        nonlocal calls
        while await joined.wait() is None:
            again = flights.join(ONE)
            if again is None:
                calls += 1
                mine = flights.lead(ONE, STREAMED)
                await asyncio.sleep(0)
                flights.land(ONE, mine, payload() if calls == 3 else None)
                return
            joined = again

    asking = [asyncio.create_task(ask(flight)) for _ in range(10)]
    await turns()
    flights.land(ONE, flight, None)
    await soon(asyncio.gather(*asking))
    assert calls == 3
