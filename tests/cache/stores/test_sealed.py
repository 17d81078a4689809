"""What lies in an encrypted store, and what becomes of it when keys change."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from kindcache.cache.entries.entry import IndexRecord, decode_record, encode, pack_vector
from kindcache.cache.errors import StartupError
from kindcache.cache.ports import EntryKey
from kindcache.cache.removing.invalidation import new, parsed
from kindcache.cache.stores.memory import MemoryStore
from kindcache.cache.stores.sealed import UNREADABLE, SealedStore
from kindcache.cache.stores.sealing import OVERHEAD_BYTES, Keys, key_id, parse_keys
from kindcache.policies.selecting import Selector
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

OLD, NEW = "01" * 32, "02" * 32
A, B = EntryKey(b"A" * 16), EntryKey(b"B" * 16)
HOUR_S = 3600.0


def keys(*texts: str) -> Keys:
    return parse_keys(",".join(texts), "KEYS")


@pytest.fixture
async def bare(clock: FakeClock) -> AsyncIterator[MemoryStore]:
    store = MemoryStore(clock)
    yield store
    await store.aclose()


async def records(store: SealedStore | MemoryStore) -> dict[EntryKey, bytes]:
    return {key: record async for key, record in store.records()}


async def test_neither_text_nor_vector_lies_in_the_store(bare: MemoryStore) -> None:
    vector = pack_vector(np.linspace(0.1, 0.9, 16, dtype=np.float32))
    record = encode(IndexRecord(b"p" * 16, "code", "a prompt", 1.0, 2.0, 3, "embedder", vector))
    sealed = SealedStore(bare, keys(OLD))
    await sealed.put(A, b"the payload " * 9, record, HOUR_S)
    kept = [await bare.get(A), (await records(bare))[A]]
    for value in kept:
        assert value is not None
        assert b"payload" not in value
        assert vector[:8] not in value
        assert value[1:9] == key_id(bytes.fromhex(OLD))
    assert decode_record((await records(sealed))[A]).vector == vector


async def test_the_same_value_never_looks_the_same(bare: MemoryStore) -> None:
    sealed = SealedStore(bare, keys(OLD))
    await sealed.put(A, b"payload", b"record", HOUR_S)
    first = await bare.get(A)
    await sealed.put(A, b"payload", b"record", HOUR_S)
    assert await bare.get(A) != first


async def test_after_a_rotation_old_entries_are_read_and_new_ones_use_the_new_key(
    bare: MemoryStore,
) -> None:
    await SealedStore(bare, keys(OLD)).put(A, b"old", b"old record", HOUR_S)
    rotated = SealedStore(bare, keys(NEW, OLD))
    await rotated.put(B, b"new", b"new record", HOUR_S)
    assert [await rotated.get(key) for key in (A, B)] == [b"old", b"new"]
    assert await records(rotated) == {A: b"old record", B: b"new record"}
    finished = SealedStore(bare, keys(NEW))
    assert [await finished.get(key) for key in (A, B)] == [UNREADABLE, b"new"]
    assert await records(finished) == {A: UNREADABLE, B: b"new record"}


async def test_what_was_stored_in_the_clear_is_not_read(bare: MemoryStore) -> None:
    """Else whoever can write to the store could forge answers."""
    await bare.put(A, b"payload", b"record", HOUR_S)
    sealed = SealedStore(bare, keys(OLD))
    assert await sealed.get(A) == UNREADABLE
    assert await records(sealed) == {A: UNREADABLE}


async def test_values_are_bound_to_their_place(bare: MemoryStore) -> None:
    sealed = SealedStore(bare, keys(OLD))
    await sealed.put(A, b"payload", b"record", HOUR_S)
    payload, record = await bare.get(A), (await records(bare))[A]
    assert payload is not None
    await bare.put(B, payload, record, HOUR_S)  # another entry's
    assert await sealed.get(B) == UNREADABLE
    await bare.put(A, record, payload, HOUR_S)  # the other of the two
    assert await sealed.get(A) == UNREADABLE


@pytest.mark.parametrize("position", [0, 1, 8, 9, 20, 21, -1])
async def test_any_changed_bit_is_noticed(bare: MemoryStore, position: int) -> None:
    sealed = SealedStore(bare, keys(OLD, NEW))
    await sealed.put(A, b"payload", b"record", HOUR_S)
    damaged = bytearray(await bare.get(A) or b"")
    damaged[position] ^= 1
    await bare.put(A, bytes(damaged), b"", HOUR_S)
    assert await sealed.get(A) == UNREADABLE
    for size in (0, 1, 9, OVERHEAD_BYTES - 1):
        await bare.put(A, bytes(damaged[:size]), b"", HOUR_S)
        assert await sealed.get(A) == UNREADABLE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "which is not set"),
        (" , ", "which is not set"),
        ("secret", "key 1 of 1"),
        (f"{OLD},{NEW}0", "key 2 of 2"),
        (f"{OLD} xx", "key 2 of 2"),
    ],
)
def test_bad_keys_are_named_and_not_shown(text: str, told: str) -> None:
    with pytest.raises(StartupError, match=told) as caught:
        parse_keys(text, "KEYS")
    assert "openssl rand -hex 32" in str(caught.value)
    assert "KEYS" in str(caught.value)
    assert not any(part in str(caught.value) for part in ("secret", OLD, NEW))


def test_a_key_is_not_shown_by_its_representation() -> None:
    shown = repr(SealedStore(MemoryStore(FakeClock()), keys(OLD, f"\n{NEW}")))
    assert OLD not in shown
    assert key_id(bytes.fromhex(NEW)).hex() in shown


async def test_a_text_of_an_invalidation_that_no_key_opens_names_everything(
    bare: MemoryStore, clock: FakeClock
) -> None:
    name = new(Selector(pattern="merger of Acme"), None, clock() + HOUR_S).name
    sealed, behind = SealedStore(bare, keys(OLD)), SealedStore(bare, keys(NEW))
    await sealed.count("invalidated", {name: 1, "all:00": 1})
    assert not any("Acme" in kept for kept in await bare.counts("invalidated"))
    assert set(await sealed.counts("invalidated")) == {name, "all:00"}
    (told,) = filter(None, map(parsed, await behind.counts("invalidated")))
    assert told.selector == Selector()
    assert told.expires_s == int(clock() + HOUR_S)
    await behind.uncount("invalidated", list(await behind.counts("invalidated")))
    assert await bare.counts("invalidated") == {}
