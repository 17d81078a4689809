"""Who is asked: one Redis, wherever that is now. ``redis_cluster`` has the other form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import MasterDownError, ReadOnlyError

T = TypeVar("T")
Call = Callable[[Redis], Awaitable[T]]
Add = Callable[[Pipeline, str], object]

# A replica by now: an address, a proxy or sentinels may lead to another server at the next try.
DEMOTED = (ReadOnlyError, MasterDownError)


class Servers(Protocol):
    """The servers behind a store. Raises what the client library raises; has no deadlines."""

    @property
    def one_node(self) -> bool:
        """Say whether any two keys may stand in one transaction."""
        ...

    async def ask(self, name: str, call: Call[T]) -> T:
        """Make ``call`` on the server that keeps ``name``; it may be made again on another one.

        All that it touches must be in one slot with ``name``: of the same hash tag.
        """
        ...

    async def ask_each(self, names: Sequence[str], add: Add) -> list[Any]:
        """Let ``add`` put a command for each name on a pipeline; return the answers in order.

        The commands of a name touch its slot alone. Each is carried out or not, by itself.
        """
        ...

    async def masters(self) -> Sequence[Redis]:
        """Return a client of each server that keeps keys of its own."""
        ...

    async def demoted(self) -> None:
        """Take note that a server refused because it is no master: look for another one."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class OneServer:
    """One server, or whichever of a group the sentinels name. Takes over its clients."""

    one_node = True

    def __init__(self, client: Redis, beside: Sequence[Redis] = ()) -> None:
        self._client = client
        self._beside = beside  # clients of sentinels

    async def ask(self, _name: str, call: Call[T]) -> T:
        """Make ``call``."""
        return await call(self._client)

    async def ask_each(self, names: Sequence[str], add: Add) -> list[Any]:
        """Send all in one pipeline."""
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            add(pipeline, name)
        return await pipeline.execute()

    async def masters(self) -> Sequence[Redis]:
        """Return the one client."""
        return (self._client,)

    async def demoted(self) -> None:
        """Drop the connections that nobody uses just now: new ones may lead elsewhere."""
        await self._client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        """Close every connection, those to sentinels too."""
        try:
            await self._client.aclose()
        finally:
            for client in self._beside:
                await client.aclose()
