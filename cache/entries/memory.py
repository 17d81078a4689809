"""What a process holds of the cache, and every change to it: table, hot payloads, queued writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...policies.guards.signature import signature
from ...policies.verdict import Admit, Reason
from ..asking.fingerprint import Ask
from ..asking.history import History
from ..events import GaveWay, Observer, Removed
from ..ports import Embedder, EntryKey, PartitionKey, Vector
from ..standing import Standing
from ..writer import Put, Writer
from .entry import IndexRecord, Payload, encode, pack_vector
from .entry_rows import Entry
from .fetches import Fetches
from .hot import HotPayloads
from .occupancy import Holding, Stake
from .table import Evicted, Table


@dataclass(frozen=True, slots=True)
class Memory:
    """Keeps the parts in step: what leaves the table leaves the hot payloads and the store too."""

    table: Table
    hot: HotPayloads
    standing: Standing
    writer: Writer
    observer: Observer
    embedder: Embedder  # vectors of another one are of no use here
    fetches: Fetches = field(default_factory=Fetches)

    def admit(
        self, ask: Ask, payload: Payload, vector: Vector | None, verdict: Admit
    ) -> Reason | None:
        """Take in an answer and queue its write, or return why it was not taken in.

        ``BACKLOG``: too many writes are waiting. ``ROOM``: it is larger than what it may take.
        """
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
            user=ask.user,
            namespace=ask.namespace,
            asked_s=payload.created_s - payload.upstream_s,
            likeness=verdict.likeness,
            model=payload.model,
            tags=payload.tags,
            after=payload.after,
        )
        holding = _holding(record)
        if self.table.occupancy.too_large(holding):
            return Reason.ROOM
        if not self.writer.put(Put(ask.key, data, encode(record), verdict.retention_s)):
            return Reason.BACKLOG
        self.hot.put(ask.key, payload, len(data))
        evicted = self._take_in(ask.key, record, vector, holding.stake)
        self._gone([old.entry.key for old in evicted], len(evicted), "evicted")
        for old in evicted:
            self.observer.notify(GaveWay(old.entry.category, old.cause))
        return None

    def adopt(self, key: EntryKey, record: IndexRecord) -> None:
        """Take in an entry that the store already has, unless a newer one is here.

        Where there is no room it stays in the store, and others may know it; so does what must
        make room for it here. Raises ``CorruptRecord``.
        """
        if key in self.table:
            return
        holding = _holding(record)
        if self.table.occupancy.is_due(holding):
            mine = record.embedder == self.embedder.identity
            vector = record.decoded_vector(self.embedder.dim) if mine else None
            for old in self._take_in(key, record, vector, holding.stake):
                self.hot.discard(old.entry.key)

    def follow(self, key: EntryKey, record: IndexRecord) -> None:
        """Take in what the store has now, in place of whatever is here. Raises ``CorruptRecord``.

        As with ``adopt``, there may be no room for it.
        """
        if self.has(key, record):
            return
        if not self.hot.holds(key, record.created_s):
            self.hot.discard(key)
        self.fetches.overtake(key)
        self.table.remove(key)
        self.adopt(key, record)

    def has(self, key: EntryKey, record: IndexRecord) -> bool:
        """Say whether the answer of ``record`` is the one that is held under ``key``."""
        entry = self.table.get(key)
        if entry is None:
            return False
        held = entry.created_s, entry.size_bytes, entry.category
        return held == (record.created_s, record.size_bytes, record.category)

    def forget(self, keys: Iterable[EntryKey]) -> None:
        """Drop what the store does not have any more."""
        known = 0
        for key in keys:
            known += self.table.remove(key) is not None
            self.hot.discard(key)
            self.fetches.overtake(key, removed=True)
        if known:
            self.observer.notify(Removed(known, "elsewhere"))

    def distrust(self) -> None:
        """Let all answers come from the store: what is here may have been deleted there."""
        for key in self.hot:
            self.hot.discard(key)
        self.fetches.overtake_all()

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
        for key in self.table.keys_of():
            self.hot.discard(key)
        self.table.clear()

    def _take_in(
        self, key: EntryKey, record: IndexRecord, vector: Vector | None, stake: Stake
    ) -> Sequence[Evicted]:
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
        return self.table.admit(entry, vector, stake)

    def _gone(self, keys: Sequence[EntryKey], known: int, why: str) -> None:
        for key in keys:
            self.hot.discard(key)
        self.writer.delete(keys)
        if known:
            self.observer.notify(Removed(known, why))


def _holding(record: IndexRecord) -> Holding:
    cost_s = record.created_s - record.asked_s if record.asked_s else 0.0
    stake = Stake(record.principal, cost_s, record.likeness)
    return Holding(record.category, record.size_bytes, record.expires_s, stake)


def _history(record: IndexRecord) -> History | None:
    place = record.loose_partition
    return History(PartitionKey(place), record.turns) if place else None
