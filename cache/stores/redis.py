"""Store on plain Redis (6 or later) or Valkey. No modules, no scripts.

    {namespace}:p:{<key>}   the payload
    {namespace}:x:{<key>}   the index record
    {namespace}:m:<name>    a claimed value, without expiry
    {namespace}:c:<ledger>  a hash of counters, without expiry

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
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError, TimeoutError  # noqa: A004

from ..errors import StartupError, StoreError
from ..ports import EntryKey

T = TypeVar("T")

CHUNK = 256  # keys deleted or read in one pipeline: about 3 ms of the loop's time
SCAN_COUNT = 512  # names looked at in one SCAN: about 0.3 ms of the server's time
# RuntimeError: uvloop, on writing to a connection that the server has just closed.
FOREIGN = (RedisError, OSError, RuntimeError)
IDLE_CHECK_S = 30.0  # a connection idle for longer is pinged before use


class RedisStore:
    """Entries as keys with expiry under ``namespace`` (letters, digits, ``_``, ``.``, ``-``).

    Takes over ``client``, which must not decode answers: ``aclose`` closes it. Nothing is retried;
    a connection that failed or whose caller went away is dropped, and the next call makes another.
    """

    def __init__(
        self,
        client: Redis,
        namespace: str,
        *,
        connections: int = 16,
        timeout_s: float = 2.0,
    ) -> None:
        self._client = client
        self._namespace = namespace
        # The client's own blocking pool loses connections when a waiting caller is cancelled.
        self._slots = asyncio.Semaphore(connections)
        self._timeout_s = timeout_s
        self._closed = False
        self._calls = 0  # under way
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    def from_url(
        cls,
        url: str,
        namespace: str,
        *,
        connections: int = 16,  # enough for 16,000 reads a second at 1 ms; more slow a cold start
        timeout_s: float = 2.0,  # for each call; deadlines of callers are usually shorter
    ) -> RedisStore:
        """Make a store for ``redis://``, ``rediss://`` (TLS) or ``unix://``. No I/O.

        Raises ``StartupError`` for a URL that cannot be read.
        """
        try:
            client = Redis.from_url(
                url,
                decode_responses=False,
                protocol=2,  # no handshake, no pushed messages
                max_connections=2 * connections,  # one that is being given back still counts
                socket_timeout=None,  # the client's own swallows cancellation on Python 3.11
                socket_connect_timeout=timeout_s,
                health_check_interval=IDLE_CHECK_S,
                retry=Retry(NoBackoff(), 0),
            )
            connect: Callable[[], object] = client.connection_pool.make_connection
            connect()  # no I/O; finds options that do not exist
        except (ValueError, TypeError) as exc:
            raise StartupError("store.url: not a Redis address, or with unknown options") from exc
        return cls(client, namespace, connections=connections, timeout_s=timeout_s)

    def __repr__(self) -> str:
        return f"<RedisStore {self._namespace}>"

    async def open(self) -> None:
        """Ask the server for a sign of life. The store works without, once the server does."""
        await self._ask(self._client.ping)

    async def get(self, key: EntryKey) -> bytes | None:
        """Return the payload under ``key``, None when absent or expired."""
        payload: bytes | None = await self._ask(partial(self._client.get, self._payload_name(key)))
        return payload

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        """Keep an entry for ``retention_s`` seconds, in one transaction."""
        left_ms = int(retention_s * 1000)
        if left_ms <= 0:
            await self.delete([key])
            return
        pipeline = self._client.pipeline(transaction=True)
        pipeline.set(self._payload_name(key), payload, px=left_ms)
        pipeline.set(self._record_name(key), record, px=left_ms)
        await self._ask(pipeline.execute)

    async def delete(self, keys: Collection[EntryKey]) -> None:
        """Delete payloads and records; absent keys are not an error."""
        for chunk in _chunks(list(keys)):
            pipeline = self._client.pipeline(transaction=False)
            for key in chunk:
                pipeline.unlink(self._payload_name(key), self._record_name(key))
            await self._ask(pipeline.execute)

    async def scrub(self) -> None:
        """Ask for a sign of life: no command reads what was deleted or has expired.

        Snapshots and the append-only file are the server's (``BGSAVE``, ``BGREWRITEAOF``).
        """
        await self._ask(self._client.ping)

    async def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        """Iterate over the index records of live entries."""
        prefix = f"{self._namespace}:x:{{"
        seen: set[EntryKey] = set()  # a scan may show a key twice
        cursor = 0
        while True:
            scan = partial(self._client.scan, cursor, match=f"{prefix}*", count=SCAN_COUNT)
            cursor, names = await self._ask(scan)
            fresh = [key for key in _keys_of(names, prefix) if key not in seen]
            seen.update(fresh)
            for chunk in _chunks(fresh):
                pipeline = self._client.pipeline(transaction=False)
                for key in chunk:
                    pipeline.get(self._record_name(key))
                for key, record in zip(chunk, await self._ask(pipeline.execute), strict=True):
                    if record is not None:
                        yield key, record
            if cursor == 0:
                return

    async def claim(self, name: str, value: bytes) -> bytes:
        """Return what is kept under ``name``, which is ``value`` if nothing was."""
        full_name = f"{self._namespace}:m:{name}"
        pipeline = self._client.pipeline(transaction=True)
        pipeline.set(full_name, value, nx=True)  # NX together with GET needs Redis 7
        pipeline.get(full_name)
        _, kept = await self._ask(pipeline.execute)
        return bytes(kept)

    async def count(self, ledger: str, amounts: Mapping[str, int]) -> None:
        """Add ``amounts`` to the counters of ``ledger``, in one transaction."""
        if not amounts:
            return
        pipeline = self._client.pipeline(transaction=True)
        for name, amount in amounts.items():
            pipeline.hincrby(self._ledger_name(ledger), name, amount)
        await self._ask(pipeline.execute)

    async def counts(self, ledger: str) -> dict[str, int]:
        """Return every counter of ``ledger``."""
        found = await self._ask(partial(self._client.hgetall, self._ledger_name(ledger)))
        return {name.decode(): int(amount) for name, amount in found.items()}

    async def uncount(self, ledger: str, names: Collection[str]) -> None:
        """Drop counters; absent names are not an error."""
        for chunk in _chunks(list(names)):
            await self._ask(partial(self._client.hdel, self._ledger_name(ledger), *chunk))

    async def aclose(self) -> None:
        """Finish the calls under way, which have deadlines, and close the connections."""
        self._closed = True
        try:
            await self._idle.wait()  # a call that is connecting would be missed by closing
        finally:
            try:
                await self._client.aclose()
            except FOREIGN as exc:
                raise _translated(exc) from exc

    async def _ask(self, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._closed:
            raise StoreError("redis: closed")
        self._calls += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                return await call()
        except FOREIGN as exc:
            raise _translated(exc) from exc
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._idle.set()

    def _payload_name(self, key: EntryKey) -> str:
        return f"{self._namespace}:p:{{{key.hex()}}}"

    def _record_name(self, key: EntryKey) -> str:
        return f"{self._namespace}:x:{{{key.hex()}}}"

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
