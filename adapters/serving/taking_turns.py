"""A miss that another process may be asking already: wait for that, while the client is here."""

from __future__ import annotations

import asyncio

from ...cache.engine import Engine
from ...cache.fail_open import fail_open
from ...cache.leases import Leases, Turn
from ...cache.outcome import Lead
from ...cache.ports import EntryKey
from ...cache.settling import release
from ...cache.singleflight import Flight
from ..asgi import Receive
from .following import client_left


async def turn_of(engine: Engine, lead: Lead, receive: Receive) -> Turn | None:
    """Say what is to be done with ``lead``; None: its client has left.

    Unless it is to lead, its flight has ended, and who followed it is free.
    """
    leases, flight = engine.leases, lead.flight
    if leases is None or flight is None:
        return Turn.LEAD
    turn: Turn | None = Turn.LEAD
    try:
        with fail_open(engine.observer, "lease"):
            if not await leases.take(lead.ask.key, flight):
                turn = await _wait(leases, lead.ask.key, flight, receive)
    except BaseException:
        release(engine, lead)
        raise
    if turn is not Turn.LEAD:
        release(engine, lead)
    return turn


async def _wait(leases: Leases, key: EntryKey, flight: Flight, receive: Receive) -> Turn | None:
    waiting = asyncio.create_task(leases.wait(key, flight))
    gone = asyncio.create_task(client_left(receive))
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        waiting.cancel()
        gone.cancel()
        await asyncio.gather(waiting, gone, return_exceptions=True)
