"""The records of a store, decoded one after the other while other work gets its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count

from ..errors import CorruptRecord
from ..ports import EntryKey, Store
from .entry import IndexRecord, decode_record

BATCH = 256  # records


async def records_in(
    store: Store, keys: Sequence[EntryKey] | None = None
) -> AsyncIterator[tuple[EntryKey, IndexRecord | None]]:
    """Yield all that ``store`` has, or has of ``keys``; None = it cannot be read.

    Raises ``StoreError``.
    """
    number = count(1)
    if keys is None:
        async for key, data in store.records():
            yield key, decoded(data)
            if next(number) % BATCH == 0:
                await asyncio.sleep(0)
        return
    for start in range(0, len(keys), BATCH):
        for key, data in (await store.records_of(keys[start : start + BATCH])).items():
            yield key, decoded(data)


def decoded(data: bytes | None) -> IndexRecord | None:
    """Return a record, None for one that is of no use to anyone."""
    try:
        return None if data is None else decode_record(data)
    except CorruptRecord:
        return None
