"""Encrypts whatever holds text or vectors before any store sees it: payloads and index records.

Each is bound to the entry's key and to what it is, so that neither can stand in another's place.
What is left in the clear says nothing of texts: keys (in the change log too) and names of counters,
which are digests, categories and figures; and the epoch, which is random.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Collection, Mapping

from ..ports import ChangeLog, EntryKey, Store
from .sealing import Keys, Unreadable

# What cannot be opened reads as this, which no decoder takes: a counted miss that drops the entry.
UNREADABLE = b""
INVALIDATED = "invalidated"  # the ledger in whose names texts stand behind a bar
SEALED = "sealed:"


class SealedStore:
    """A store that keeps only ciphertext. It reads nothing that was stored before it was sealed."""

    def __init__(self, inner: Store, keys: Keys) -> None:
        self._inner = inner
        self._keys = keys

    def __repr__(self) -> str:
        return f"<SealedStore {self._keys!r} of {self._inner!r}>"

    @property
    def changes(self) -> ChangeLog:
        """Return the log of the store beneath: keys and names, in the clear."""
        return self._inner.changes

    async def open(self) -> None:
        """Open the store beneath."""
        await self._inner.open()

    async def get(self, key: EntryKey) -> bytes | None:
        """Return the payload under ``key``; ``UNREADABLE`` when no key here opens it."""
        sealed = await self._inner.get(key)
        return None if sealed is None else self._opened(sealed, _payload_place(key))

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        """Keep an entry, sealed with the first key."""
        await self._inner.put(
            key,
            self._keys.seal(payload, _payload_place(key)),
            self._keys.seal(record, _record_place(key)),
            retention_s,
        )

    async def delete(self, keys: Collection[EntryKey]) -> None:
        """Delete payloads and records; absent keys are not an error."""
        await self._inner.delete(keys)

    async def scrub(self) -> None:
        """Leave nothing of what was deleted."""
        await self._inner.scrub()

    async def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        """Iterate over the index records; ``UNREADABLE`` for those that no key here opens."""
        async for key, sealed in self._inner.records():
            yield key, self._opened(sealed, _record_place(key))

    async def records_of(self, keys: Collection[EntryKey]) -> dict[EntryKey, bytes]:
        """Return the index records of ``keys``; ``UNREADABLE`` for those that no key here opens."""
        found = await self._inner.records_of(keys)
        return {key: self._opened(sealed, _record_place(key)) for key, sealed in found.items()}

    async def claim(self, name: str, value: bytes) -> bytes:
        """Return what is kept under ``name``, in the clear."""
        return await self._inner.claim(name, value)

    async def count(self, ledger: str, amounts: Mapping[str, int]) -> None:
        """Add to counters, in the clear: a name that is encrypted anew cannot be counted up.

        But for the texts in names of invalidations, of which no amount matters.
        """
        if ledger == INVALIDATED:
            amounts = {self._sealed_name(name): amount for name, amount in amounts.items()}
        await self._inner.count(ledger, amounts)

    async def counts(self, ledger: str) -> dict[str, int]:
        """Return every counter of ``ledger``; a text that no key here opens stays sealed."""
        counts = await self._inner.counts(ledger)
        if ledger != INVALIDATED:
            return counts
        return {self._opened_name(name): amount for name, amount in counts.items()}

    async def uncount(self, ledger: str, names: Collection[str]) -> None:
        """Drop counters; absent names are not an error."""
        if ledger == INVALIDATED:
            gone, known = set(names), await self._inner.counts(ledger)
            names = [name for name in known if self._opened_name(name) in gone]
        await self._inner.uncount(ledger, names)

    async def lease(self, name: str, token: bytes, ttl_s: float) -> bool:
        """Take or renew a lease, in the clear: a key and a random token."""
        return await self._inner.lease(name, token, ttl_s)

    async def release(self, name: str, token: bytes) -> None:
        """Free a lease."""
        await self._inner.release(name, token)

    async def aclose(self) -> None:
        """Close the store beneath."""
        await self._inner.aclose()

    def _sealed_name(self, name: str) -> str:
        """Return a name as it is kept."""
        head, bar, text = name.partition("|")
        if not bar or text.startswith(SEALED):
            return name
        sealed = self._keys.seal(text.encode(), _name_place(head))
        return f"{head}|{SEALED}{b64encode(sealed).decode()}"

    def _opened_name(self, name: str) -> str:
        """Return a name in the clear, where it can be opened, or was never sealed."""
        head, _, text = name.partition("|")
        if not text.startswith(SEALED):
            return name
        try:
            opened = self._keys.open(b64decode(text[len(SEALED) :]), _name_place(head))
            return f"{head}|{opened.decode()}"
        except (Unreadable, ValueError):
            return name

    def _opened(self, sealed: bytes, place: bytes) -> bytes:
        try:
            return self._keys.open(sealed, place)
        except Unreadable:
            return UNREADABLE


def _name_place(head: str) -> bytes:
    return b"invalidated" + head.encode()


def _payload_place(key: EntryKey) -> bytes:
    return b"payload" + key


def _record_place(key: EntryKey) -> bytes:
    return b"record" + key
