"""One upstream call for equal misses of several processes: a lease in the store they share.

Who holds the lease of a key leads; the others look again and again whether it is free, and then
first for the answer. It is a courtesy, not a lock: it runs out when its holder dies or hangs, no
store or a slow one means to lead at once, and two calls instead of one do no harm.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from dataclasses import dataclass
from enum import Enum, auto

from .errors import StoreError
from .events import Failed, Observer
from .ports import EntryKey, Store
from .singleflight import Flight
from .writer import Writer

TTL_S = 5.0  # how long the followers of a dead leader wait; renewed three times in that
MOST_WAIT_S = 60.0  # past it a follower asks the model itself
FIRST_LOOK_S = 0.01
LATER_LOOK_S = 0.1  # of an answer that takes seconds, little is lost
WRITTEN_LOOK_S = 0.005  # a write takes about a millisecond


class Turn(Enum):
    """What is to be done with a miss."""

    LEAD = auto()
    LOOK_AGAIN = auto()  # another process has asked meanwhile


@dataclass(frozen=True, slots=True)
class _Held:
    flight: Flight
    token: bytes
    renewing: asyncio.Task[None]


class Leases:
    """The leases of one process. ``writer`` writes the answers that end them."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        observer: Observer,
        *,
        ttl_s: float = TTL_S,
        most_wait_s: float = MOST_WAIT_S,
    ) -> None:
        self._store = store
        self._writer = writer
        self._observer = observer
        self._ttl_s = ttl_s
        self._most_wait_s = most_wait_s
        self._held: dict[EntryKey, _Held] = {}
        self._returning: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._held)

    async def take(self, key: EntryKey, flight: Flight) -> bool:
        """Say whether ``flight`` is to lead, with the lease of ``key`` or without any."""
        if key in self._held:
            return True  # this process asks already, but an answer too large to be shared
        token = secrets.token_bytes(8)
        try:
            taken = await self._store.lease(key.hex(), token, self._ttl_s)
        except StoreError as exc:
            self._failed(exc)
            return True
        if taken:
            renewing = asyncio.create_task(self._renew(key, token))
            self._held[key] = _Held(flight, token, renewing)
        return taken

    async def wait(self, key: EntryKey, flight: Flight) -> Turn:
        """Wait until nobody else leads. Who then finds no answer leads, with the lease."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._most_wait_s
        pause_s = FIRST_LOOK_S
        while loop.time() < give_up_at:
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(1.5 * pause_s, LATER_LOOK_S)
            if await self.take(key, flight):
                return await self._with_lease(key, flight)
        return Turn.LEAD

    def give_back(self, key: EntryKey, flight: Flight) -> None:
        """Free the lease that ``flight`` holds, if any, once its answer is written."""
        held = self._held.get(key)
        if held is None or held.flight is not flight:
            return
        del self._held[key]
        held.renewing.cancel()
        returning = asyncio.create_task(self._return(key, held.token))
        self._returning.add(returning)
        returning.add_done_callback(self._returning.discard)

    async def aclose(self) -> None:
        """Free what is being given back; what is still held runs out by itself."""
        for held in self._held.values():
            held.renewing.cancel()
        self._held.clear()
        await asyncio.gather(*self._returning, return_exceptions=True)

    async def _with_lease(self, key: EntryKey, flight: Flight) -> Turn:
        try:
            answered = key in self._held and await self._store.get(key) is not None
        except StoreError as exc:
            self._failed(exc)
            return Turn.LEAD
        if not answered:
            return Turn.LEAD
        self.give_back(key, flight)
        return Turn.LOOK_AGAIN

    async def _renew(self, key: EntryKey, token: bytes) -> None:
        while True:
            await asyncio.sleep(self._ttl_s / 3)
            try:
                if not await self._store.lease(key.hex(), token, self._ttl_s):
                    return  # this process hung for so long that another one leads
            except StoreError as exc:
                self._failed(exc)

    async def _return(self, key: EntryKey, token: bytes) -> None:
        try:
            async with asyncio.timeout(self._ttl_s):
                # Followers look for the answer first.
                while self._writer.is_busy(key):  # noqa: ASYNC110 - seldom more than one look
                    await asyncio.sleep(WRITTEN_LOOK_S)
                await self._store.release(key.hex(), token)
        except (StoreError, TimeoutError) as exc:
            self._failed(exc)

    def _failed(self, exc: Exception) -> None:
        self._observer.notify(Failed("lease", type(exc.__cause__ or exc).__name__))
