from __future__ import annotations

import pytest

from kindcache.cache.ports import EntryKey
from kindcache.cache.stores.memory import SWEEP_EVERY, MemoryStore
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio


async def test_expired_entries_that_nobody_reads_do_not_pile_up(clock: FakeClock) -> None:
    store = MemoryStore(clock)
    for number in range(10 * SWEEP_EVERY):
        await store.put(EntryKey(number.to_bytes(16, "big")), b"p", b"r", 1.0)
        clock.advance(0.01)
    assert len(store._rows) < 2 * SWEEP_EVERY
