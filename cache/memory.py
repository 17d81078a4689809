"""What a process holds of the cache, and every change to it: table, hot payloads, queued writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..policies.facts import Candidate
from ..policies.guards.signature import signature
from ..policies.verdict import Admit
from .entry import IndexRecord, Payload, encode, pack_vector
from .events import Observer, Removed
from .fingerprint import Ask
from .history import History
from .hot import HotPayloads
from .ports import Embedder, EntryKey, PartitionKey, Vector
from .standing import Standing
from .table import Entry, Table
from .writer import Put, Writer


@dataclass(frozen=True, slots=True)
class Memory:
    """Keeps the parts in step: what leaves the table leaves the hot payloads and the store too."""

    table: Table
    hot: HotPayloads
    standing: Standing
    writer: Writer
    observer: Observer
    embedder: Embedder  # vectors of another one are of no use here

    def admit(self, ask: Ask, payload: Payload, vector: Vector | None, verdict: Admit) -> bool:
        """Take in an answer and queue its write; False when too many writes are waiting."""
        data = encode(payload)
        record = IndexRecord(
            partition=ask.partition,
            category=payload.category,
            prompt=payload.prompt,
            created_s=payload.created_s,
            expires_s=payload.created_s + verdict.retention_s,
            size_bytes=len(data),
            embedder=self.embedder.identity,
            vector=pack_vector(vector),
            ttl_s=payload.ttl_s,
            principal=ask.principal,
            loose_partition=ask.history.partition if ask.history else b"",
            turns=ask.history.turns if ask.history else (),
        )
        if not self.writer.put(Put(ask.key, data, encode(record), verdict.retention_s)):
            return False
        self.hot.put(ask.key, payload, len(data))
        self._take_in(ask.key, record, vector)
        return True

    def adopt(self, key: EntryKey, record: IndexRecord) -> None:
        """Take in an entry that the store already has, unless a newer one is here.

        Evicts nothing: where the table is full, the store's entry stays in the store, and others
        may know it. Raises ``CorruptRecord``.
        """
        if self.table.get(key) is None and not self.table.is_full:
            mine = record.embedder == self.embedder.identity
            vector = record.decoded_vector(self.embedder.dim) if mine else None
            self._take_in(key, record, vector)

    def remove(self, keys: Iterable[EntryKey], why: str) -> int:
        """Remove entries everywhere and count those that the table knew."""
        keys = tuple(keys)
        known = sum(self.table.remove(key) is not None for key in keys)
        self._gone(keys, known, why)
        return known

    def expire(self, now_s: float) -> None:
        """Remove what has expired; the store expires its own."""
        gone = self.table.expire(now_s)
        for entry in gone:
            self.hot.discard(entry.key)
        if gone:
            self.observer.notify(Removed(len(gone), "expired"))

    def clear(self) -> None:
        """Forget everything held here; the store keeps what it has."""
        for entry in self.table:
            self.hot.discard(entry.key)
        self.table.clear()

    def _take_in(self, key: EntryKey, record: IndexRecord, vector: Vector | None) -> None:
        entry = Entry(
            key=key,
            partition=PartitionKey(record.partition),
            category=record.category,
            prompt=record.prompt,
            signature=signature(record.prompt),
            created_s=record.created_s,
            expires_s=record.expires_s,
            size_bytes=record.size_bytes,
            ttl_s=record.ttl_s,
            history=_history(record),
        )
        evicted = self.table.admit(entry, vector)
        if evicted:
            self._gone([entry.key for entry in evicted], len(evicted), "evicted")

    def _gone(self, keys: Sequence[EntryKey], known: int, why: str) -> None:
        for key in keys:
            self.hot.discard(key)
        self.writer.delete(keys)
        if known:
            self.observer.notify(Removed(known, why))


def candidate(entry: Entry, similarity: float, asked_in: PartitionKey) -> Candidate:
    """Return what policies may know of ``entry`` when a call in ``asked_in`` might get it."""
    turns = entry.history.turns if entry.history is not None else ()
    return Candidate(
        key=entry.key,
        category=entry.category,
        prompt=entry.prompt,
        signature=entry.signature,
        similarity=similarity,
        created_s=entry.created_s,
        ttl_s=entry.ttl_s,
        turns=None if entry.partition == asked_in else turns,
    )


def _history(record: IndexRecord) -> History | None:
    place = record.loose_partition
    return History(PartitionKey(place), record.turns) if place else None
