"""Which labels stand at which slot of a graph: 30-50 bytes a label, no object of its own.

Equal rows link to each other only: 300 copies of one among 1,300 brought recall@1 of all others
down to 0.46. Labels with equal rows therefore share a slot. (An English model makes many equal
vectors of texts in scripts it does not know.)
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..entries.slot_table import ABSENT, SlotTable, hashed_bytes, hashed_number
from ..snapshot.sections import Sink, Source, put_array, take_array
from .coding import Labels, Rows

DEAD = -1
MOST_NARROW = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a batch goes. ``labels[i]`` stands at ``slots[i]``; rows ``new`` take new slots."""

    labels: list[int]
    hashes: list[int]  # of the labels' rows
    slots: list[int]
    new: list[int]  # positions in the batch


class Nodes:
    """Labels by slot, and slots by label and by row. ``read`` returns the row at a slot."""

    __slots__ = ("_by_row", "_labels", "_read", "_slot_of", "_twins", "live")

    def __init__(self, read: Callable[[int], Rows]) -> None:
        self._read = read
        self._labels = array("i")  # by slot: its first label; wider when one needs it
        self._slot_of = SlotTable()  # of labels
        self._by_row = SlotTable()
        self._twins: dict[int, dict[int, None]] = {}  # slot -> further labels with an equal row
        self.live = 0  # slots with a label

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def used(self) -> int:
        """Count the slots ever taken."""
        return len(self._labels)

    @property
    def dead(self) -> int:
        """Count the slots without a label."""
        return len(self._labels) - self.live

    def is_live(self, slot: int) -> bool:
        """Say whether ``slot`` has a label."""
        return self._labels[slot] != DEAD

    def plan(self, labels: Labels, rows: Rows) -> Plan:
        """Say where ``rows`` go, without going there. Of a label's rows the last counts."""
        last = {label: at for at, label in enumerate(labels.tolist())}
        content = [rows[at].tobytes() for at in last.values()]
        hashes = [hashed_bytes(data) for data in content]
        fresh: dict[bytes, int] = {}
        new: list[int] = []
        slots: list[int] = []
        for at, data, hashed in zip(last.values(), content, hashes, strict=True):
            slot = fresh.get(data, ABSENT)
            if slot == ABSENT:
                slot = self._by_row.find(hashed, partial(self._has, data))
            if slot == ABSENT:
                slot = fresh[data] = self.used + len(new)
                new.append(at)
            slots.append(slot)
        return Plan(list(last), hashes, slots, new)

    def carry_out(self, plan: Plan) -> list[int]:
        """Note the labels of ``plan``, whose new rows are in place; return slots that died."""
        self._labels.extend([DEAD] * len(plan.new))
        replaced: list[tuple[int, int]] = []
        for label, hashed, slot in zip(plan.labels, plan.hashes, plan.slots, strict=True):
            old = self._find(label)
            if old == slot:
                continue
            if old == ABSENT:
                self._slot_of.put(hashed_number(label), slot)
            else:
                self._slot_of.move(hashed_number(label), old, slot)
                replaced.append((label, old))
            self._attach(label, slot, hashed)
        # Last, so that no slot dies that a later row of the batch shares.
        return [old for label, old in replaced if self._detach(label, old)]

    def remove(self, label: int) -> int:
        """Forget ``label``; return the slot that died of it, ``ABSENT`` when none did."""
        slot = self._find(label)
        if slot == ABSENT:
            return ABSENT
        self._slot_of.discard(hashed_number(label), slot)
        return slot if self._detach(label, slot) else ABSENT

    def named(self, near: list[tuple[int, float]], k: int) -> list[tuple[int, float]]:
        """Return ``near`` with labels for slots, at most ``k``; a slot may have several."""
        found: list[tuple[int, float]] = []
        for slot, similarity in near:
            found.append((self._labels[slot], similarity))
            if slot in self._twins:
                found.extend((label, similarity) for label in self._twins[slot])
        return found[:k]

    def content(self) -> tuple[Labels, Labels]:
        """Return labels and their slots; labels that share a slot come one by one."""
        all_labels = np.array(self._labels, dtype=np.int64)
        slots = np.flatnonzero(all_labels != DEAD)
        labels = all_labels[slots]
        if self._twins:
            shared = [(label, slot) for slot, twins in self._twins.items() for label in twins]
            more = np.array(shared, dtype=np.int64)
            labels = np.concatenate((labels, more[:, 0]))
            slots = np.concatenate((slots, more[:, 1]))
        return labels, slots

    def save(self, sink: Sink) -> None:
        """Write which labels stand where."""
        put_array(sink, "slots", np.array(self._labels, dtype=np.int64))
        shared = [(slot, label) for slot, twins in self._twins.items() for label in twins]
        put_array(sink, "shared slots", np.array(shared, dtype=np.int64).reshape(-1, 2))

    def load(self, source: Source, contents: Callable[[int], bytes]) -> None:
        """Become what was written. ``contents`` tells the bytes of the row at a slot."""
        labels = take_array(source, "slots", np.int64)
        shared = take_array(source, "shared slots", (np.int64, (2,)))
        narrow = max(int(labels.max(initial=0)), int(shared.max(initial=0))) <= MOST_NARROW
        kind = "i" if narrow else "q"
        self._labels = array(kind, labels.astype(np.int32 if narrow else np.int64).tobytes())
        living = np.flatnonzero(labels != DEAD).tolist()
        self.live = len(living)
        self._by_row.reserve(len(living))
        self._slot_of.reserve(len(living) + len(shared))
        for slot in living:
            self._by_row.put(hashed_bytes(contents(slot)), slot)
            self._slot_of.put(hashed_number(self._labels[slot]), slot)
        for slot, label in shared.tolist():
            self._twins.setdefault(slot, {})[label] = None
            self._slot_of.put(hashed_number(label), slot)

    def _find(self, label: int) -> int:
        def is_it(slot: int) -> bool:
            return self._labels[slot] == label or label in self._twins.get(slot, ())

        return self._slot_of.find(hashed_number(label), is_it)

    def _has(self, content: bytes, slot: int) -> bool:
        return self._read(slot).tobytes() == content

    def _attach(self, label: int, slot: int, hashed: int) -> None:
        if label > MOST_NARROW and self._labels.typecode == "i":
            self._labels = array("q", self._labels)
        if self._labels[slot] != DEAD:
            self._twins.setdefault(slot, {})[label] = None
            return
        self._labels[slot] = label
        self._by_row.put(hashed, slot)
        self.live += 1

    def _detach(self, label: int, slot: int) -> bool:
        twins = self._twins.get(slot)
        if twins is None:
            self._by_row.discard(hashed_bytes(self._read(slot).tobytes()), slot)
            self._labels[slot] = DEAD
            self.live -= 1
            return True
        if self._labels[slot] == label:
            self._labels[slot], _ = twins.popitem()
        else:
            del twins[label]
        if not twins:
            del self._twins[slot]
        return False
