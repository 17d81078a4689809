"""One upstream call for concurrent equal misses, its messages shared as they come.

The first caller leads: it runs the call and publishes each message. Others follow: they read the
messages from the first on, or wait for the end. The call lives while anyone reads it. A flight
ends once, on every way out of the leader; followers of one that ended without a stored answer
are free to lead themselves, and since the first of them does, they go one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from .entries.entry import Payload
from .ports import EntryKey

Rendering = tuple[bool, bool]  # streamed, with usage: callers that agree may share the very bytes
Message = dict[str, Any]  # an ASGI message of the response


class Flight:
    """One upstream call in progress."""

    def __init__(self, limit_bytes: int, rendering: Rendering) -> None:
        self.rendering = rendering
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._messages: list[Message] = []
        self._changed = asyncio.Event()
        self._readers = 1
        self._followed = False  # stays: who leaves first may be the leader
        self._abandoned = asyncio.Event()
        self.joinable = True
        self.ended = False
        self.payload: Payload | None = None

    def publish(self, message: Message) -> None:
        """Take the next message.

        Past the limit nobody may join any more, and if nobody has, nothing is kept.
        """
        if not self._followed and not self.joinable:
            return
        self._messages.append(message)
        self._size_bytes += len(message.get("body", b""))
        if self._size_bytes > self._limit_bytes:
            self.joinable = False
            if not self._followed:
                self._messages.clear()
        self._wake()

    def end(self, payload: Payload | None) -> None:
        """End the flight; ``payload`` is the answer if it may be shared. Later calls do nothing."""
        if self.ended:
            return
        self.payload = payload
        self.ended = True
        self._wake()

    def join(self) -> None:
        """Count one more reader."""
        self._readers += 1
        self._followed = True

    def leave(self) -> None:
        """Count one reader less; the last one abandons the call."""
        self._readers -= 1
        if self._readers <= 0:
            self._abandoned.set()

    @property
    def followers(self) -> int:
        """Count the readers beside the first."""
        return max(0, self._readers - 1)

    async def abandoned(self) -> None:
        """Wait until nobody reads the call any more."""
        await self._abandoned.wait()

    async def messages(self) -> AsyncIterator[Message]:
        """Yield the messages from the first on, until the flight ends."""
        seen = 0
        while True:
            while seen < len(self._messages):
                seen += 1
                yield self._messages[seen - 1]
            if self.ended:
                return
            await self._changed.wait()

    async def wait(self) -> Payload | None:
        """Wait for the end; return the answer if it may be shared."""
        while not self.ended:
            await self._changed.wait()
        return self.payload

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Flights:
    """The upstream calls in progress, by exact key."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._flights: dict[EntryKey, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Flight]:
        return iter(tuple(self._flights.values()))

    def join(self, key: EntryKey) -> Flight | None:
        """Join the call in progress for ``key``, if there is one that can be joined."""
        flight = self._flights.get(key)
        if flight is None or not flight.joinable:
            return None
        flight.join()
        return flight

    def lead(self, key: EntryKey, rendering: Rendering) -> Flight:
        """Start a call for ``key``; its leader must end it with ``land``."""
        flight = self._flights[key] = Flight(self._limit_bytes, rendering)
        return flight

    def close(self) -> None:
        """Let nobody else join the calls in progress: who asks from now on must ask anew."""
        for flight in self._flights.values():
            flight.joinable = False

    def land(self, key: EntryKey, flight: Flight, payload: Payload | None) -> None:
        """End ``flight`` and make way for the next call for ``key``."""
        if self._flights.get(key) is flight:
            del self._flights[key]
        flight.end(payload)
