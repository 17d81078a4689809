"""Store on plain Redis (6 or later) or Valkey. No modules, no scripts.

    {namespace}:p:{<key>}   the payload
    {namespace}:x:{<key>}   the index record
    {namespace}:m:<name>    a claimed value, without expiry
    {namespace}:c:<ledger>  a hash of counters, without expiry
    {namespace}:l:{<name>}  who holds a lease, with expiry
    {namespace}:changes     a stream of what was done, trimmed (`redis_stream.py`)

The braces around the hexadecimal key stand in the name: they make a cluster keep both in one slot.
No command and no transaction names keys of two slots, so that each is legal on a node of a cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import (
    ConnectionError,  # noqa: A004
    RedisError,
    TimeoutError,  # noqa: A004
    WatchError,
)

from ..errors import StoreError
from ..ports import EntryKey, News
from .redis_client import servers_of
from .redis_servers import DEMOTED, Call, Servers
from .redis_stream import KEPT, Also, RedisStream

T = TypeVar("T")

CHUNK = 256  # keys deleted or read in one pipeline: about 3 ms of the loop's time
SCAN_COUNT = 512  # names looked at in one SCAN: about 0.3 ms of the server's time
# RuntimeError: uvloop, on writing to a connection that the server has just closed.
FOREIGN = (RedisError, OSError, RuntimeError)


class RedisStore:
    """Entries as keys with expiry under ``namespace`` (letters, digits, ``_``, ``.``, ``-``).

    Takes over ``servers``, whose clients must not decode answers; ``aclose`` closes them. Nothing
    is retried but what a cluster sends elsewhere; a connection that failed or whose caller went
    away is dropped, and the next call makes another.
    """

    def __init__(
        self,
        servers: Servers,
        namespace: str,
        *,
        connections: int = 16,
        timeout_s: float = 2.0,
        changes_kept: int = KEPT,
    ) -> None:
        self._servers = servers
        self._namespace = namespace
        # The client's own blocking pool loses connections when a waiting caller is cancelled.
        self._slots = asyncio.Semaphore(connections)
        self._timeout_s = timeout_s
        self._closed = False
        self._calls = 0  # under way
        self._idle = asyncio.Event()
        self._idle.set()
        self._listening: set[asyncio.Future[Any]] = set()
        changes = f"{namespace}:changes"
        self._log = RedisStream(
            changes,
            partial(self._ask_at, changes),
            lambda call, wait_s: self._listen(partial(servers.ask, changes, call), wait_s),
            together=servers.one_node,
            kept=changes_kept,
        )

    @property
    def changes(self) -> RedisStream:
        """Return the log that all users of the namespace share."""
        return self._log

    @classmethod
    def from_url(
        cls,
        url: str,
        namespace: str,
        *,
        password: str = "",
        connections: int = 16,  # enough for 16,000 reads a second at 1 ms; more slow a cold start
        timeout_s: float = 2.0,  # for each call; deadlines of callers are usually shorter
        changes_kept: int = KEPT,
    ) -> RedisStore:
        """Make a store for an address of the forms in `config/redis_address.py`. No I/O.

        ``password`` is used where the URL has none. Raises ``StartupError`` for a URL that cannot
        be read.
        """
        # One connection that is being given back still counts.
        servers = servers_of(url, password, connections=2 * connections, timeout_s=timeout_s)
        return cls(
            servers,
            namespace,
            connections=connections,
            timeout_s=timeout_s,
            changes_kept=changes_kept,
        )

    def __repr__(self) -> str:
        return f"<RedisStore {self._namespace}>"

    async def open(self) -> None:
        """Ask the server for a sign of life. The store works without, once the server does."""
        await self._ask(self._greet)

    async def get(self, key: EntryKey) -> bytes | None:
        """Return the payload under ``key``, None when absent or expired."""
        name = self._payload_name(key)
        payload: bytes | None = await self._ask_at(name, lambda client: client.get(name))
        return payload

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        """Keep an entry for ``retention_s`` seconds, in one transaction, and tell it after that."""
        left_ms = int(retention_s * 1000)
        if left_ms <= 0:
            await self.delete([key])
            return
        write = partial(self._put, key, payload, record, left_ms)
        await self._log.told(News("admit", key), write)

    async def delete(self, keys: Collection[EntryKey]) -> None:
        """Delete payloads and records; absent keys are not an error."""
        for chunk in _chunks(list(keys)):
            write = partial(self._unlink, chunk)
            await self._log.told(News("delete", b"".join(chunk)), write)

    async def scrub(self) -> None:
        """Ask for a sign of life: no command reads what was deleted or has expired.

        Snapshots and the append-only file are the server's (``BGSAVE``, ``BGREWRITEAOF``).
        """
        await self._ask(self._greet)

    async def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        """Iterate over the index records of live entries."""
        prefix = f"{self._namespace}:x:{{"
        seen: set[EntryKey] = set()  # a scan may show a key twice
        for master in await self._ask(self._servers.masters):
            cursor: int | None = None
            while cursor != 0:
                scan = partial(master.scan, cursor or 0, match=f"{prefix}*", count=SCAN_COUNT)
                cursor, names = await self._ask(scan)
                fresh = [key for key in _keys_of(names, prefix) if key not in seen]
                seen.update(fresh)
                for chunk in _chunks(fresh):
                    for item in (await self.records_of(chunk)).items():
                        yield item

    async def records_of(self, keys: Collection[EntryKey]) -> dict[EntryKey, bytes]:
        """Return the index records of those ``keys`` that are live."""
        found: dict[EntryKey, bytes] = {}
        for chunk in _chunks(list(keys)):
            names = [self._record_name(key) for key in chunk]
            read = partial(self._servers.ask_each, names, lambda pipeline, name: pipeline.get(name))
            values = zip(chunk, await self._ask(read), strict=True)
            found |= {key: record for key, record in values if record is not None}
        return found

    async def claim(self, name: str, value: bytes) -> bytes:
        """Return what is kept under ``name``, which is ``value`` if nothing was."""
        full_name = f"{self._namespace}:m:{name}"

        def claim(client: Redis) -> Awaitable[list[Any]]:
            pipeline = client.pipeline(transaction=True)
            pipeline.set(full_name, value, nx=True)  # NX together with GET needs Redis 7
            pipeline.get(full_name)
            return pipeline.execute()

        _, kept = await self._ask_at(full_name, claim)
        return bytes(kept)

    async def count(self, ledger: str, amounts: Mapping[str, int]) -> None:
        """Add ``amounts`` to the counters of ``ledger``, in one transaction."""
        if not amounts:
            return
        full_name = self._ledger_name(ledger)

        def count(client: Redis) -> Awaitable[list[Any]]:
            pipeline = client.pipeline(transaction=True)
            for name, amount in amounts.items():
                pipeline.hincrby(full_name, name, amount)
            return pipeline.execute()

        await self._ask_at(full_name, count)

    async def counts(self, ledger: str) -> dict[str, int]:
        """Return every counter of ``ledger``."""
        full_name = self._ledger_name(ledger)
        found = await self._ask_at(full_name, lambda client: client.hgetall(full_name))
        return {name.decode(): int(amount) for name, amount in found.items()}

    async def uncount(self, ledger: str, names: Collection[str]) -> None:
        """Drop counters; absent names are not an error."""
        full_name = self._ledger_name(ledger)

        def drop(client: Redis, names: Sequence[str]) -> Awaitable[int]:
            return client.hdel(full_name, *names)

        for chunk in _chunks(list(names)):
            await self._ask_at(full_name, partial(drop, names=chunk))

    async def lease(self, name: str, token: bytes, ttl_s: float) -> bool:
        """Take or renew a lease."""
        full_name, ttl_ms = self._lease_name(name), max(1, int(ttl_s * 1000))

        def take(client: Redis) -> Awaitable[list[Any]]:
            pipeline = client.pipeline(transaction=True)
            pipeline.set(full_name, token, nx=True, px=ttl_ms)
            pipeline.get(full_name)
            return pipeline.execute()

        taken, holder = await self._ask_at(full_name, take)
        if taken or holder != token:
            return bool(taken)
        return await self._while_held(
            full_name, token, lambda pipeline: pipeline.pexpire(full_name, ttl_ms)
        )

    async def release(self, name: str, token: bytes) -> None:
        """Free a lease."""
        full_name = self._lease_name(name)
        await self._while_held(full_name, token, lambda pipeline: pipeline.unlink(full_name))

    async def _while_held(
        self, full_name: str, token: bytes, change: Callable[[Pipeline], object]
    ) -> bool:
        """Make ``change`` if ``token`` holds the lease, and nobody takes it meanwhile."""

        async def compare_and_change(client: Redis) -> bool:
            async with client.pipeline(transaction=True) as pipeline:
                await pipeline.watch(full_name)
                reading: Any = pipeline.get(full_name)  # at once, while something is watched
                if await reading != token:
                    return False
                begin: Callable[[], None] = pipeline.multi
                begin()
                change(pipeline)
                try:
                    await pipeline.execute()
                except WatchError:
                    return False
                return True

        held: bool = await self._ask_at(full_name, compare_and_change)
        return held

    async def aclose(self) -> None:
        """Finish the calls under way, which have deadlines, and close the connections."""
        self._closed = True
        for listening in self._listening:
            listening.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        try:
            await self._idle.wait()  # a call that is connecting would be missed by closing
        finally:
            try:
                await self._servers.aclose()
            except FOREIGN as exc:
                raise _translated(exc) from exc

    async def _put(
        self, key: EntryKey, payload: bytes, record: bytes, left_ms: int, also: Also
    ) -> None:
        def put(client: Redis) -> Awaitable[list[Any]]:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("MULTI")
            pipeline.set(self._payload_name(key), payload, px=left_ms)
            pipeline.set(self._record_name(key), record, px=left_ms)
            pipeline.execute_command("EXEC")
            also(pipeline)  # of another slot, hence not within
            return pipeline.execute()

        await self._ask_at(self._payload_name(key), put)

    async def _unlink(self, keys: Sequence[EntryKey], also: Also) -> None:
        names = {self._payload_name(key): self._record_name(key) for key in keys}
        last = self._payload_name(keys[-1])

        def unlink(pipeline: Pipeline, name: str) -> None:
            pipeline.unlink(name, names[name])
            if name == last:
                also(pipeline)

        await self._ask(partial(self._servers.ask_each, list(names), unlink))

    async def _ask(self, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._closed:
            raise StoreError("redis: closed")
        self._calls += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                return await self._made(call)
        except FOREIGN as exc:
            raise _translated(exc) from exc
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._idle.set()

    async def _ask_at(self, name: str, call: Call[Any]) -> Any:
        return await self._ask(partial(self._servers.ask, name, call))

    async def _made(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except DEMOTED:
            await self._servers.demoted()
            raise

    async def _greet(self) -> None:
        for master in await self._servers.masters():
            alive: Awaitable[object] = master.ping()
            await alive

    async def _listen(self, call: Callable[[], Awaitable[Any]], wait_s: float) -> Any:
        """Make a call that waits at the server: it takes no slot from others, closing ends it."""
        if self._closed:
            raise StoreError("redis: closed")
        listening = asyncio.ensure_future(call())
        self._listening.add(listening)
        try:
            async with asyncio.timeout(wait_s + self._timeout_s):
                return await listening
        except FOREIGN as exc:
            raise _translated(exc) from exc
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closed or (task is not None and task.cancelling()):
                raise
            raise StoreError("redis: closed") from None
        finally:
            self._listening.discard(listening)

    def _payload_name(self, key: EntryKey) -> str:
        return f"{self._namespace}:p:{{{key.hex()}}}"

    def _record_name(self, key: EntryKey) -> str:
        return f"{self._namespace}:x:{{{key.hex()}}}"

    def _lease_name(self, name: str) -> str:
        return f"{self._namespace}:l:{{{name}}}"

    def _ledger_name(self, ledger: str) -> str:
        return f"{self._namespace}:c:{ledger}"


def _keys_of(names: list[bytes], prefix: str) -> list[EntryKey]:
    """Return the keys, each once; what is not a name of ours is left out."""
    keys: list[EntryKey] = []
    for name in dict.fromkeys(names):
        with suppress(ValueError):
            keys.append(EntryKey(bytes.fromhex(name[len(prefix) : -1].decode())))
    return keys


def _chunks(keys: Sequence[T]) -> list[Sequence[T]]:
    return [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)]


def _translated(exc: Exception) -> StoreError:
    kind = type(exc).__name__
    if isinstance(exc, ConnectionError | TimeoutError):  # these name the server, no command
        return StoreError(f"redis: {kind}: {exc}")
    # Within a pipeline the client quotes the command, payload included; keep that out of logs.
    exc.args = ()
    return StoreError(f"redis: {kind}")
