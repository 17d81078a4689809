"""What a running cache has learnt, read from the store of its policy file. Nothing is written."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...cache.errors import StoreError
from ...cache.learning.fact import DAY_S, decode
from ...cache.learning.ledger import NAME
from ...cache.stores import sqlite_file
from ...config.service_settings import StoreSettings
from ...config.settings import Settings
from ...policies.calibration import Cell, Tally
from ..registry import make_store, store_file

BUSY_S = 5.0  # another process recovers the file after a crash


@dataclass(frozen=True, slots=True)
class Kept:
    """Evidence from a store."""

    tallies: Mapping[str, Tally]  # of the policy file's categories
    of_others: int  # observations by another scorer, embedder or fusion: they say nothing here


async def counts(settings: StoreSettings) -> Mapping[str, int]:
    """Return the counters of the evidence. Raises ``StoreError``."""
    path = store_file(settings.url)
    if path is not None:
        return await asyncio.to_thread(sqlite_file.counts_of, path, NAME, BUSY_S)
    if urlsplit(settings.url).scheme == "memory":
        raise StoreError("memory:// is gone with its process; name another store in store.url")
    store = make_store(settings)
    try:
        await store.open()
        return await store.counts(NAME)
    finally:
        await store.aclose()


def kept(counters: Mapping[str, int], instrument: str, settings: Settings, now_s: float) -> Kept:
    """Decode ``counters`` as a running cache would, within ``evidence.window``."""
    first_day = int((now_s - settings.evidence.window) // DAY_S)
    cells: dict[str, Counter[Cell]] = {name: Counter() for name in settings.category_names}
    of_others = 0
    for name, amount in counters.items():
        maker = name.partition("|")[0]
        fact = decode(maker, name)
        if fact is None or fact.day < first_day or not isinstance(fact.what, Cell):
            continue
        if maker != instrument:
            of_others += amount
        elif fact.category in cells:
            cells[fact.category][fact.what] += amount
    return Kept({name: Tally(counts) for name, counts in cells.items()}, of_others)
