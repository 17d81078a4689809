"""Payloads in process memory, decoded: a hit on one of them needs no store and no parsing."""

from __future__ import annotations

from collections import OrderedDict

from .entry import Payload
from .ports import EntryKey


class HotPayloads:
    """Least recently used payloads, bounded by the bytes of their encoded form."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._items: OrderedDict[EntryKey, tuple[Payload, int]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: EntryKey) -> Payload | None:
        """Return the payload under ``key`` and count it as used."""
        item = self._items.get(key)
        if item is None:
            return None
        self._items.move_to_end(key)
        return item[0]

    def put(self, key: EntryKey, payload: Payload, size_bytes: int) -> None:
        """Keep ``payload``; one larger than the whole room is not kept."""
        self.discard(key)
        if size_bytes > self._limit_bytes:
            return
        self._items[key] = (payload, size_bytes)
        self.size_bytes += size_bytes
        while self.size_bytes > self._limit_bytes:
            _, (_, freed) = self._items.popitem(last=False)
            self.size_bytes -= freed

    def discard(self, key: EntryKey) -> None:
        """Forget ``key`` if it is kept."""
        item = self._items.pop(key, None)
        if item is not None:
            self.size_bytes -= item[1]
