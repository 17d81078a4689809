"""Hot payloads in process memory, in front of a slower store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from ..ports import Clock, EntryKey
from .dated import Dated, DatedStore

ROW_BYTES = 260  # what a row costs beside its payload (key, row, dictionary slot), measured


@dataclass(frozen=True, slots=True)
class _Row:
    payload: bytes
    expires_s: float  # as in the store
    recheck_s: float  # from here on the store is asked again


class HotStore:
    """The least recently used payloads go first once ``limit_bytes`` is reached.

    Coherent with everything that passes through it: a payload is remembered only if no put or
    delete of its key was under way meanwhile. What other processes delete or replace in the same
    store is noticed after ``hold_s`` at the latest. The store's expiry holds throughout.
    """

    def __init__(
        self,
        inner: DatedStore,
        clock: Clock,
        *,
        limit_bytes: int,
        hold_s: float = 60.0,  # bounds how long a deletion made elsewhere can go unseen
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._hold_s = hold_s
        self._rows: OrderedDict[EntryKey, _Row] = OrderedDict()
        self._used_bytes = 0
        self._reading: dict[EntryKey, object] = {}  # the latest read under way
        self._writing: dict[EntryKey, object] = {}  # a put under way that nothing has crossed

    def __repr__(self) -> str:
        return f"<HotStore {len(self._rows)} payloads, {self._used_bytes} bytes of {self._inner!r}>"

    @property
    def used_bytes(self) -> int:
        """Memory in use, rows included."""
        return self._used_bytes

    async def open(self) -> None:
        """Open the store beneath."""
        await self._inner.open()

    async def get(self, key: EntryKey) -> bytes | None:
        """Return the payload under ``key``, from memory if it is there."""
        dated = await self.get_dated(key)
        return None if dated is None else dated.payload

    async def get_dated(self, key: EntryKey) -> Dated | None:
        """As ``get``, with the seconds that are left."""
        row = self._rows.get(key)
        if row is not None:
            now = self._clock()
            if now < row.recheck_s:
                self._rows.move_to_end(key)
                return Dated(row.payload, row.expires_s - now)
            self._drop(key)
        token = self._reading[key] = object()
        try:
            dated = await self._inner.get_dated(key)
        finally:
            undisturbed = self._reading.get(key) is token
            if undisturbed:
                del self._reading[key]
        if dated is not None and undisturbed:
            self._keep(key, dated.payload, dated.left_s)
        return dated

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        """Keep an entry in the store beneath, then its payload in memory."""
        started_s = self._clock()
        self._forget(key)
        crossed = key in self._writing
        token = self._writing[key] = object()
        try:
            await self._inner.put(key, payload, record, retention_s)
        finally:
            self._forget(key)
            alone = self._writing.pop(key, None) is token and not crossed
        if alone:
            self._keep(key, payload, started_s + retention_s - self._clock())

    async def delete(self, keys: Collection[EntryKey]) -> None:
        """Delete entries here and beneath."""
        keys = list(keys)
        self._forget(*keys)
        try:
            await self._inner.delete(keys)
        finally:
            self._forget(*keys)
            for key in keys:
                self._writing.pop(key, None)

    def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        """Iterate over the index records of the store beneath."""
        return self._inner.records()

    async def claim(self, name: str, value: bytes) -> bytes:
        """Pass on to the store beneath."""
        return await self._inner.claim(name, value)

    async def aclose(self) -> None:
        """Forget everything and close the store beneath."""
        self._forget(*self._rows)
        await self._inner.aclose()

    def _keep(self, key: EntryKey, payload: bytes, left_s: float) -> None:
        size_bytes = len(payload) + ROW_BYTES
        if size_bytes > self._limit_bytes or left_s <= 0:
            return
        self._drop(key)
        now = self._clock()
        self._rows[key] = _Row(payload, now + left_s, now + min(left_s, self._hold_s))
        self._used_bytes += size_bytes
        while self._used_bytes > self._limit_bytes:
            self._drop(next(iter(self._rows)))

    def _drop(self, key: EntryKey) -> None:
        row = self._rows.pop(key, None)
        if row is not None:
            self._used_bytes -= len(row.payload) + ROW_BYTES

    def _forget(self, *keys: EntryKey) -> None:
        for key in keys:
            self._drop(key)
            self._reading.pop(key, None)
