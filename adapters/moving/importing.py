"""Takes the entries of an export into a store. May be stopped and begun again at any line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ...cache.entries.entry import decode_record, encode, pack_vector
from ...cache.errors import CorruptRecord, KindcacheError
from ...cache.ports import Clock, Embedder, EntryKey, Store
from ...cache.removing.invalidation import GENERATION
from .lines import LEDGERS, Counts, EntryLine, Header, fingerprint


class ImportRefused(KindcacheError):
    """Entries that would be of no use here; nothing was written."""


@dataclass(slots=True)
class Importer:
    """Takes entries into the open ``store``. Methods raise ``StoreError``.

    ``embedder`` is opened when a vector is first to be made.
    """

    store: Store
    embedder: Embedder
    clock: Clock
    counts: Counts
    _opened: bool = False

    async def begin(self, header: Header, secret: bytes) -> None:
        """Make the store one of the header's epoch. Raises ``ImportRefused``."""
        mine = fingerprint(secret)
        if header.secret != mine:
            raise ImportRefused(
                f"this export was made under another secret ({header.secret}, here {mine}): its"
                " keys would match no request. Set KINDCACHE_SECRET to that of the cache that"
                " wrote it (an SQLite store keeps it beside the file, in NAME.secret)"
            )
        generations = {name for name in header.ledgers.get("invalidated", ()) if _begins(name)}
        here = {name for name in await self.store.counts("invalidated") if _begins(name)}
        kept = header.epoch if here - generations else await self.store.claim("epoch", header.epoch)
        if kept != header.epoch or here - generations:
            raise ImportRefused(
                "a cache has begun to use this store, and its keys are made in another way than"
                " those of the export: import into a store that no cache has used yet"
            )
        for ledger in LEDGERS:
            known = await self.store.counts(ledger)
            new = [name for name in header.ledgers.get(ledger, ()) if name not in known]
            if new:
                await self.store.count(ledger, dict.fromkeys(new, 1))

    async def take(self, lines: Sequence[EntryLine]) -> None:
        """Write those of ``lines`` that are newer than what is there."""
        keys = {EntryKey(line.key): line for line in lines}
        there = await self.store.records_of(keys)
        for key, line in keys.items():
            if line.record.expires_s <= self.clock():
                self.counts.leave("expired")
            elif _is_newer(there.get(key), line):
                self.counts.leave("already there")
            else:
                await self._write(key, line)

    async def aclose(self) -> None:
        """Close the embedder, if it was opened."""
        if self._opened:
            await self.embedder.aclose()

    async def _write(self, key: EntryKey, line: EntryLine) -> None:
        record = line.record
        if line.embed:
            vector = await self._vector(line)
            if vector is None:
                self.counts.leave("of another embedder")
                return
            record = replace(record, vector=vector)
        payload = encode(line.payload)
        record = replace(record, size_bytes=len(payload))
        left_s = record.expires_s - self.clock()
        await self.store.put(key, payload, encode(record), left_s)
        self.counts.taken += 1

    async def _vector(self, line: EntryLine) -> bytes | None:
        if not self._opened:
            await self.embedder.open()
            self._opened = True
        if line.record.embedder != self.embedder.identity:
            return None  # partitions depend on it
        return pack_vector(await self.embedder.embed(line.record.prompt))


def numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield lines that are not empty, with their numbers."""
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _begins(name: str) -> bool:
    return name.startswith(GENERATION)


def _is_newer(there: bytes | None, line: EntryLine) -> bool:
    """Say whether what is there is as new as ``line``."""
    if there is None:
        return False
    try:
        return decode_record(there).created_s >= line.record.created_s
    except CorruptRecord:
        return False
