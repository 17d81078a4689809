"""Payloads in process memory, decoded: a hit on one of them needs no store and no parsing.

Beside a payload stand its renderings, made when they are first sent: a hit on those needs no
encoding either.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..ports import EntryKey
from .entry import Payload
from .rendering import Form, Rendering


@dataclass(slots=True, eq=False)
class _Kept:
    payload: Payload
    size_bytes: int
    renderings: dict[Form, Rendering] = field(default_factory=dict)


class HotPayloads:
    """Least recently used payloads, bounded by the bytes of their encoded form and renderings."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._items: OrderedDict[EntryKey, _Kept] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[EntryKey]:
        """Iterate over the keys, also while some are discarded."""
        return iter(tuple(self._items))

    def keys_of(self, category: str | None) -> list[EntryKey]:
        """Return the keys of one category's payloads, or of all."""
        kept = self._items.items()
        return [key for key, item in kept if category in {None, item.payload.category}]

    def items(self) -> list[tuple[EntryKey, Payload]]:
        """Return what is kept; counts as no use."""
        return [(key, item.payload) for key, item in self._items.items()]

    def items_of(self, keys: Iterable[bytes]) -> list[tuple[EntryKey, Payload]]:
        """Return what is kept of ``keys``; counts as no use."""
        named = map(EntryKey, keys)
        return [(key, self._items[key].payload) for key in named if key in self._items]

    def get(self, key: EntryKey) -> Payload | None:
        """Return the payload under ``key`` and count it as used."""
        item = self._items.get(key)
        if item is None:
            return None
        self._items.move_to_end(key)
        return item.payload

    def holds(self, key: EntryKey, created_s: float) -> bool:
        """Say whether the payload of that time is kept under ``key``; counts as no use."""
        item = self._items.get(key)
        return item is not None and item.payload.created_s == created_s

    def put(self, key: EntryKey, payload: Payload, size_bytes: int) -> None:
        """Keep ``payload``; one larger than the whole room is not kept."""
        self.discard(key)
        if size_bytes > self._limit_bytes:
            return
        self._items[key] = _Kept(payload, size_bytes)
        self.size_bytes += size_bytes
        self._make_room()

    def rendering(self, key: EntryKey, payload: Payload, form: Form) -> Rendering | None:
        """Return the rendering of this very ``payload``, None when none is kept."""
        item = self._items.get(key)
        return item.renderings.get(form) if item is not None and item.payload is payload else None

    def keep_rendering(
        self, key: EntryKey, payload: Payload, form: Form, rendering: Rendering
    ) -> None:
        """Keep a rendering beside its payload, if that is still there and both fit."""
        item = self._items.get(key)
        size_bytes = rendering.size_bytes
        if item is None or item.payload is not payload or form in item.renderings:
            return
        if item.size_bytes + size_bytes > self._limit_bytes:
            return
        item.renderings[form] = rendering
        item.size_bytes += size_bytes
        self.size_bytes += size_bytes
        self._items.move_to_end(key)
        self._make_room()

    def discard(self, key: EntryKey) -> None:
        """Forget ``key`` if it is kept."""
        item = self._items.pop(key, None)
        if item is not None:
            self.size_bytes -= item.size_bytes

    def _make_room(self) -> None:
        while self.size_bytes > self._limit_bytes:
            _, gone = self._items.popitem(last=False)
            self.size_bytes -= gone.size_bytes
