"""Writes what a store holds, an entry a line."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

from ...cache.entries.entry import IndexRecord, decode_payload
from ...cache.entries.listing import records_in
from ...cache.errors import CorruptRecord
from ...cache.ports import Clock, EntryKey, Store
from ...cache.removing.entry_facts import of_record
from ...cache.removing.in_force import in_force_of
from ...cache.removing.invalidation import LEDGER
from .lines import LEDGERS, VERSION, Counts, EntryLine, Header, encode_line, fingerprint


async def exported(
    store: Store, secret: bytes, clock: Clock, counts: Counts, *, vectors: bool
) -> AsyncIterator[bytes]:
    """Yield the lines of an export of the open ``store``, and count. Raises ``StoreError``.

    Left out is what has expired, was erased or invalidated, or cannot be read.
    """
    ledgers = {name: sorted(await store.counts(name)) for name in LEDGERS}
    in_force = in_force_of(ledgers[LEDGER], clock())
    epoch = await store.claim("epoch", secrets.token_bytes(16))
    yield encode_line(Header(VERSION, fingerprint(secret), epoch, ledgers), secret)
    async for key, record in records_in(store):
        try:
            if record is None:
                counts.leave("unreadable")
            elif record.expires_s <= clock():
                counts.leave("expired")
            elif in_force.covers(of_record(key, record), record.after):
                counts.leave("invalidated")
            elif (line := await _line(store, key, record, vectors=vectors)) is None:
                counts.leave("without an answer")
            else:
                counts.taken += 1
                yield encode_line(line, secret, epoch)
        except CorruptRecord:
            counts.leave("unreadable")


async def _line(
    store: Store, key: EntryKey, record: IndexRecord, *, vectors: bool
) -> EntryLine | None:
    data = await store.get(key)
    if data is None:
        return None
    payload = decode_payload(data)
    if payload.created_s != record.created_s:
        return None  # replaced since it was listed
    embed = bool(record.vector) and not vectors
    return EntryLine(bytes(key), replace(record, vector=b"") if embed else record, payload, embed)
