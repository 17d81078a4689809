"""Store in process memory: for tests and trials. Nothing survives the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

from ..errors import StoreError
from ..ports import Clock, EntryKey, News
from .memory_log import KEPT, MemoryLog

SWEEP_EVERY = 1024  # entries; a sweep costs as much as the puts since the last one


@dataclass(frozen=True, slots=True)
class _Row:
    payload: bytes
    record: bytes
    expires_s: float


class MemoryStore:
    """A dictionary with expiry. Its size is bounded by what is put and deleted, not by itself."""

    def __init__(self, clock: Clock, *, changes_kept: int = KEPT) -> None:
        self._clock = clock
        self._rows: dict[EntryKey, _Row] = {}
        self._meta: dict[str, bytes] = {}
        self._counters: dict[str, dict[str, int]] = {}
        self._leases: dict[str, tuple[bytes, float]] = {}  # token, and when it runs out
        self._sweep_at = SWEEP_EVERY
        self._closed = False
        self._log = MemoryLog(changes_kept)

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._rows)} entries>"

    @property
    def changes(self) -> MemoryLog:
        """Return the log that all users of this object share."""
        return self._log

    async def open(self) -> None:
        """Do nothing: there is nobody to reach."""

    async def get(self, key: EntryKey) -> bytes | None:
        """Return the payload under ``key``, None when absent or expired."""
        row = self._live(key)
        return None if row is None else row.payload

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        """Keep ``payload`` and ``record`` for ``retention_s`` seconds."""
        self._check_open()
        now = self._clock()
        self._rows[key] = _Row(payload, record, now + retention_s)
        self._log.add([News("admit", key)])
        if len(self._rows) >= self._sweep_at:
            self._rows = {k: row for k, row in self._rows.items() if row.expires_s > now}
            self._sweep_at = max(SWEEP_EVERY, 2 * len(self._rows))

    async def delete(self, keys: Collection[EntryKey]) -> None:
        """Delete payloads and records; absent keys are not an error."""
        self._check_open()
        for key in keys:
            self._rows.pop(key, None)
        if keys:
            self._log.add([News("delete", b"".join(keys))])

    async def scrub(self) -> None:
        """Forget what has expired."""
        self._check_open()
        now = self._clock()
        self._rows = {key: row for key, row in self._rows.items() if row.expires_s > now}

    async def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        """Iterate over the index records of live entries."""
        self._check_open()
        for key in list(self._rows):
            row = self._live(key)
            if row is not None:
                yield key, row.record

    async def records_of(self, keys: Collection[EntryKey]) -> dict[EntryKey, bytes]:
        """Return the index records of those ``keys`` that are live."""
        self._check_open()
        found = ((key, self._live(key)) for key in keys)
        return {key: row.record for key, row in found if row is not None}

    async def claim(self, name: str, value: bytes) -> bytes:
        """Return what is kept under ``name``, which is ``value`` if nothing was."""
        self._check_open()
        return self._meta.setdefault(name, value)

    async def count(self, ledger: str, amounts: Mapping[str, int]) -> None:
        """Add ``amounts`` to the counters of ``ledger``."""
        self._check_open()
        counters = self._counters.setdefault(ledger, {})
        for name, amount in amounts.items():
            counters[name] = counters.get(name, 0) + amount

    async def counts(self, ledger: str) -> dict[str, int]:
        """Return every counter of ``ledger``."""
        self._check_open()
        return dict(self._counters.get(ledger, {}))

    async def uncount(self, ledger: str, names: Collection[str]) -> None:
        """Drop counters; absent names are not an error."""
        self._check_open()
        counters = self._counters.get(ledger, {})
        for name in names:
            counters.pop(name, None)

    async def lease(self, name: str, token: bytes, ttl_s: float) -> bool:
        """Take or renew a lease."""
        self._check_open()
        now = self._clock()
        holder, expires_s = self._leases.get(name, (token, 0.0))
        if holder != token and expires_s > now:
            return False
        self._leases[name] = (token, now + ttl_s)
        return True

    async def release(self, name: str, token: bytes) -> None:
        """Free a lease."""
        self._check_open()
        if self._leases.get(name, (b"", 0.0))[0] == token:
            del self._leases[name]

    async def aclose(self) -> None:
        """Forget everything."""
        self._closed = True
        self._log.close()
        self._rows.clear()
        self._meta.clear()
        self._counters.clear()

    def _live(self, key: EntryKey) -> _Row | None:
        self._check_open()
        row = self._rows.get(key)
        if row is None or row.expires_s > self._clock():
            return row
        del self._rows[key]
        return None

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("memory store: closed")
