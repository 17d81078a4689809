"""Slots by hash: whatever is put, moved and taken out, what is there is found."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kindcache.cache.entries.slot_table import ABSENT, SlotTable, hashed_bytes, hashed_number

_slots = st.integers(0, 40)
_hashes = st.sampled_from([0, 1, 15, 16, 31, 0xFFFF_FFFF])  # most of them meet in one place


class Slots(RuleBasedStateMachine):
    """A table beside a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.table = SlotTable()
        self.model: dict[int, int] = {}

    @rule(slot=_slots, hashed=_hashes)
    def put(self, slot: int, hashed: int) -> None:
        if slot not in self.model:
            self.table.put(hashed, slot)
            self.model[slot] = hashed

    @rule(slot=_slots)
    def discard(self, slot: int) -> None:
        self.table.discard(self.model.pop(slot, 7), slot)

    @rule(old=_slots, new=_slots)
    def move(self, old: int, new: int) -> None:
        if old in self.model and new not in self.model:
            hashed = self.model.pop(old)
            self.table.move(hashed, old, new)
            self.model[new] = hashed

    @rule()
    def empty(self) -> None:
        for slot, hashed in self.model.items():
            self.table.discard(hashed, slot)
        self.model.clear()

    @invariant()
    def each_is_found_under_its_own_hash_only(self) -> None:
        assert len(self.table) == len(self.model)
        for slot in range(41):
            for hashed in (0, 1, 15, 16, 31, 0xFFFF_FFFF):
                expected = slot if self.model.get(slot) == hashed else ABSENT
                assert self.table.find(hashed, slot.__eq__) == expected


TestSlots = Slots.TestCase
TestSlots.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)


def test_many_are_found_and_take_few_bytes() -> None:
    table, count = SlotTable(), 100_000
    for slot in range(count):
        table.put(hashed_number(slot), slot)
    assert all(table.find(hashed_number(slot), slot.__eq__) == slot for slot in range(0, count, 7))
    assert len(table._slots) * 8 <= 20 * count
    for slot in range(0, count, 2):
        table.discard(hashed_number(slot), slot)
    found = [table.find(hashed_number(slot), slot.__eq__) for slot in range(1000)]
    assert found == [slot if slot % 2 else ABSENT for slot in range(1000)]


def test_hashes_fit_into_the_array() -> None:
    for data in (b"", b"a", bytes(16)):
        assert 0 <= hashed_bytes(data) < 1 << 32
    assert len({hashed_number(n) & 0xFFF for n in range(4096)}) == 4096
