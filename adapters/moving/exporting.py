"""Writes what a store holds, an entry a line."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

from ...cache.entries.entry import IndexRecord, decode_payload, decode_record
from ...cache.errors import CorruptRecord
from ...cache.ports import Clock, EntryKey, Store
from ...cache.removing.erased import Erased
from .lines import LEDGERS, VERSION, Counts, EntryLine, Header, encode_line, fingerprint


async def exported(
    store: Store, secret: bytes, clock: Clock, counts: Counts, *, vectors: bool
) -> AsyncIterator[bytes]:
    """Yield the lines of an export of the open ``store``, and count. Raises ``StoreError``.

    Left out is what has expired, was erased, or cannot be read.
    """
    erased = Erased(clock)
    await erased.read(store)
    yield encode_line(
        Header(
            version=VERSION,
            secret=fingerprint(secret),
            epoch=await store.claim("epoch", secrets.token_bytes(16)),
            ledgers={name: sorted(await store.counts(name)) for name in LEDGERS},
        )
    )
    async for key, data in store.records():
        try:
            record = decode_record(data)
            if record.expires_s <= clock():
                counts.leave("expired")
            elif erased.covers_record(record):
                counts.leave("erased")
            elif (line := await _line(store, key, record, vectors=vectors)) is None:
                counts.leave("without an answer")
            else:
                counts.taken += 1
                yield encode_line(line)
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
