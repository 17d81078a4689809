"""Slots found by a hash, in two arrays: 10 to 20 bytes each, where a dictionary takes 100 or more.

Who keeps things in arrays knows them by slot. This finds the slot again from a key or a label that
stands in one of those arrays, and so keeps neither.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

ABSENT = -1
SMALLEST = 16  # places; always a power of two
BITS = 0xFFFF_FFFF


def hashed_number(number: int) -> int:
    """Return 32 bits that spread consecutive numbers."""
    return number * 0x9E37_79B1 & BITS


def hashed_bytes(data: bytes) -> int:
    """Return 32 bits of the interpreter's keyed hash, which no caller can foresee."""
    return hash(data) & BITS


class SlotTable:
    """Open addressing with linear probing, at most four fifths full. Slots are below 2**31.

    What is there is found at the third place on average, at worst; what is not is given up
    after thirteen.
    """

    __slots__ = ("_count", "_hashes", "_mask", "_slots")

    def __init__(self) -> None:
        self._clear(SMALLEST)

    def __len__(self) -> int:
        return self._count

    def find(self, hashed: int, is_it: Callable[[int], bool]) -> int:
        """Return the slot put under ``hashed`` of which ``is_it`` holds, else ``ABSENT``."""
        slots, hashes, mask = self._slots, self._hashes, self._mask
        at = hashed & mask
        while (slot := slots[at]) != ABSENT:
            if hashes[at] == hashed and is_it(slot):
                return slot
            at = at + 1 & mask
        return ABSENT

    def put(self, hashed: int, slot: int) -> None:
        """Add ``slot`` under ``hashed``; it must not be there yet."""
        if 5 * (self._count + 1) > 4 * len(self._slots):
            self._grow()
        self._place(hashed, slot)
        self._count += 1

    def reserve(self, count: int) -> None:
        """Make room for ``count`` slots at once. To be asked while it is empty."""
        places = SMALLEST
        while 5 * count > 4 * places:
            places *= 2
        self._clear(places)

    def discard(self, hashed: int, slot: int) -> None:
        """Take ``slot`` out from under ``hashed``; what is absent is not an error."""
        slots, hashes, mask = self._slots, self._hashes, self._mask
        at = hashed & mask
        while slots[at] != slot or hashes[at] != hashed:
            if slots[at] == ABSENT:
                return
            at = at + 1 & mask
        self._count -= 1
        # What was pushed on past the gap moves up, so that no probe ends before it.
        following = at + 1 & mask
        while slots[following] != ABSENT:
            home = hashes[following] & mask
            if (following - home & mask) >= (following - at & mask):
                slots[at], hashes[at] = slots[following], hashes[following]
                at = following
            following = following + 1 & mask
        slots[at] = ABSENT

    def move(self, hashed: int, old: int, new: int) -> None:
        """Put ``new`` in the place of ``old``, which stands under ``hashed``."""
        slots, mask = self._slots, self._mask
        at = hashed & mask
        while slots[at] != old:
            assert slots[at] != ABSENT, "moved a slot that is not there"
            at = at + 1 & mask
        slots[at] = new

    def _place(self, hashed: int, slot: int) -> None:
        at = hashed & self._mask
        while self._slots[at] != ABSENT:
            at = at + 1 & self._mask
        self._slots[at] = slot
        self._hashes[at] = hashed

    def _grow(self) -> None:
        kept = [pair for pair in zip(self._hashes, self._slots, strict=True) if pair[1] != ABSENT]
        self._clear(2 * len(self._slots))
        for hashed, slot in kept:
            self._place(hashed, slot)
        self._count = len(kept)

    def _clear(self, places: int) -> None:
        self._slots = array("i", [ABSENT]) * places
        self._hashes = array("I", [0]) * places
        self._mask = places - 1
        self._count = 0
