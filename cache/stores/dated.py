"""A store that also says how long a payload has left, so that a cache above it knows the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..ports import EntryKey, Store


@dataclass(frozen=True, slots=True)
class Dated:
    """A payload and its remaining retention."""

    payload: bytes
    left_s: float


class DatedStore(Store, Protocol):
    """What every store of this package is."""

    async def get_dated(self, key: EntryKey) -> Dated | None:
        """As ``get``, with the seconds that are left. One round trip."""
        ...
