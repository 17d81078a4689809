"""How the suite makes stores of each kind, and lets time pass for them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis

from kindcache.cache.ports import Store
from kindcache.cache.stores.guarded import GuardedStore
from kindcache.cache.stores.memory import MemoryStore
from kindcache.cache.stores.redis import RedisStore
from kindcache.cache.stores.sealed import SealedStore
from kindcache.cache.stores.sealing import parse_keys
from kindcache.cache.stores.sqlite import SqliteStore
from tests.conftest import FakeClock

CHANGES_KEPT = 10_000
SEALING = parse_keys("5a" * 32, "KEYS")


class Backend(Protocol):
    """How the suite makes stores of one kind and lets time pass for them."""

    async def store(self, space: str = "one") -> Store:
        """Open a store; equal ``space`` = the same data, where the kind keeps data."""
        ...

    async def pass_time(self, seconds: float, until: Callable[[], Awaitable[bool]]) -> None: ...


class Opened:
    def __init__(self) -> None:
        self.stores: list[Store] = []

    async def open(self, store: Store) -> Store:
        self.stores.append(store)
        await store.open()
        return store

    async def aclose(self) -> None:
        for store in self.stores:
            await store.aclose()


class WithFakeClock(Opened):
    """Memory, SQLite, and what is wrapped around them."""

    def __init__(
        self, kind: str, folder: Path, clock: FakeClock, *, changes_kept: int = CHANGES_KEPT
    ) -> None:
        super().__init__()
        self._kind = kind
        self._folder = folder
        self._clock = clock
        self._kept = changes_kept

    async def store(self, space: str = "one") -> Store:
        match self._kind:
            case "memory":
                return await self.open(self._bare())
            case "sealed":
                return await self.open(SealedStore(self._bare(), SEALING))
            case "sqlite":
                return await self.open(self._file(space))
            case "sealed sqlite":
                return await self.open(SealedStore(self._file(space), SEALING))
        guarded = GuardedStore(self._bare(), read_deadline_s=5, write_deadline_s=5)
        return await self.open(guarded)

    def _bare(self) -> MemoryStore:
        return MemoryStore(self._clock, changes_kept=self._kept)

    def _file(self, space: str) -> SqliteStore:
        path = self._folder / f"{space}.db"
        return SqliteStore(path, self._clock, changes_kept=self._kept)

    async def pass_time(self, seconds: float, until: Callable[[], Awaitable[bool]]) -> None:
        self._clock.advance(seconds)
        assert await until()


class WithRedis(Opened):
    """Real expiry: time passes by itself."""

    def __init__(
        self,
        url: str,
        *,
        nodes: Sequence[str] = (),  # addresses, where ``url`` is a cluster's
        sealed: bool = False,
        changes_kept: int = CHANGES_KEPT,
    ) -> None:
        super().__init__()
        self._nodes = nodes
        self._kept = changes_kept
        self._url = url
        self._sealed = sealed
        self._run = uuid.uuid4().hex

    async def store(self, space: str = "one") -> Store:
        name = f"test.{self._run}.{space}"
        bare = RedisStore.from_url(self._url, name, changes_kept=self._kept)
        return await self.open(SealedStore(bare, SEALING) if self._sealed else bare)

    async def pass_time(self, seconds: float, until: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(seconds + 5.0):
            while not await until():
                await asyncio.sleep(0.01)

    async def aclose(self) -> None:
        for url in self._nodes or [self._url]:
            async with Redis.from_url(url) as client:
                async for name in client.scan_iter(f"test.{self._run}.*"):
                    await client.unlink(name)
        await super().aclose()
