"""Who holds how much of the room, and which row goes when it is short.

Figures stand in arrays by row, as in ``entry_rows``: some 50 bytes each. A victim is the row worth
least of a sample, so that no eviction takes longer in a larger cache.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...policies.allotment import Allotment
from ...policies.demand import Demand, faded
from ...policies.room import Cause, Claim, Fits, FromCategories, FromScope, TooLarge, Used
from ...policies.worth import Kept, Kind, covered
from ..ports import Clock
from ..snapshot.sections import (
    Sink,
    Source,
    Unusable,
    put_array,
    put_facts,
    put_strings,
    take_array,
    take_facts,
    take_strings,
)
from .slot_table import ABSENT

LONGEST_S = 86_400.0  # an upstream time above it is a clock that jumped
SAMPLE = 16  # the victim is worth less than 94 % of what might go, on average


@dataclass(frozen=True, slots=True)
class Stake:
    """Whose an entry is, and what it may save."""

    owner: bytes = b""  # who is capped by ``per_scope``
    cost_s: float = 0.0  # upstream time of the answer; 0 = not known
    likeness: float = 0.0  # cosine of its nearest neighbour; 0 = none


NO_STAKE = Stake()
_NOTHING = Used()
# Columns that a snapshot keeps, and how wide they are; the others follow from them.
_KEPT = {
    "category": np.int32,
    "size_bytes": np.int64,
    "hits": np.uint32,
    "admitted_s": np.float64,
    "used_s": np.float64,
    "expires_s": np.float64,
    "level_then": np.float64,
    "uses": np.float32,
    "cost_s": np.float32,
    "likeness": np.float32,
}


@dataclass(frozen=True, slots=True)
class Holding:
    """What the room must know of an entry that comes in."""

    category: str
    size_bytes: int
    expires_s: float = math.inf
    stake: Stake = NO_STAKE


@dataclass(slots=True, eq=False)
class _Group:
    """Rows of one category or owner, in no order, and what they take."""

    name: bytes = b""  # of an owner
    number: int = 0  # of a category
    rows: array[int] = field(default_factory=lambda: array("i"))
    used: Used = field(default_factory=Used)


class Occupancy:
    """Accounts of the rows in use. No method takes longer where there are more of them."""

    def __init__(
        self, allotment: Allotment, clock: Clock, dice: Random, sample: int = SAMPLE
    ) -> None:
        self.obey(allotment)
        self._clock = clock
        self._dice = dice
        self._sample = sample
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.total = Used()
        self._level = 0.0
        self._groups: dict[str, _Group] = {}
        self._held: dict[str, Used] = {}
        self._owners: dict[bytes, _Group] = {}
        self._demands: dict[str, Demand] = {}
        self._names: list[str] = []  # of categories, by number
        self._category = array("i")  # by row, as all below
        self._owner: list[bytes] = []
        self._seat = array("i")  # its place among its category's rows
        self._owner_seat = array("i")
        self._size_bytes = array("q")
        self._hits = array("I")
        self._admitted_s = array("d")
        self._used_s = array("d")
        self._expires_s = array("d")
        self._level_then = array("d")
        self._uses = array("f")
        self._cost_s = array("f")
        self._likeness = array("f")

    def emptied(self) -> Occupancy:
        """Return one that decides alike, and holds nothing."""
        allotment = Allotment(self._room, self._worth, self._priorities)
        return Occupancy(allotment, self._clock, self._dice, self._sample)

    def become(self, other: Occupancy) -> None:
        """Take over the accounts of ``other``, which is not to be used any more."""
        for name in (
            *("total", "_level", "_groups", "_held", "_owners", "_demands", "_names"),
            *("_owner", "_seat", "_owner_seat", *(f"_{name}" for name in _KEPT)),
        ):
            setattr(self, name, getattr(other, name))

    def save(self, sink: Sink, in_use: NDArray[np.bool_]) -> None:
        """Write the accounts of the rows ``in_use``."""
        demands = {name: asdict(demand) for name, demand in self._demands.items()}
        put_facts(sink, "accounts", (self._level, self._names, demands))
        rows = len(in_use)
        for name, kind in _KEPT.items():
            column = np.frombuffer(getattr(self, f"_{name}"), dtype=kind)[:rows]
            put_array(sink, name, np.where(in_use, column, 0).astype(kind))
        owners = {name: number for number, name in enumerate(self._owners)}
        numbers = [
            owners[owner] if used else 0
            for owner, used in zip(self._owner[:rows], in_use.tolist(), strict=True)
        ]
        put_strings(sink, "owners", list(owners))
        put_array(sink, "owner", np.array(numbers, dtype=np.int32))

    def load(self, source: Source, in_use: NDArray[np.bool_]) -> None:
        """Become what was written. Raises ``Unusable``."""
        facts = take_facts(source, "accounts", tuple[float, list[str], dict[str, dict[str, Any]]])
        columns = {name: take_array(source, name, kind) for name, kind in _KEPT.items()}
        owners = take_strings(source, "owners")
        owner = take_array(source, "owner", np.int32)
        if {len(column) for column in (owner, *columns.values())} != {len(in_use)}:
            raise Unusable("Damaged")
        self.clear()
        for _ in range(len(in_use)):
            self._more()
        for name, column in columns.items():
            kept = getattr(self, f"_{name}")
            setattr(self, f"_{name}", array(kept.typecode, column.tobytes()))
        self._level, self._names, demands = facts
        known = Demand(0.0)
        for name, demand in demands.items():
            self._demands[name] = replace(known, **demand)
        self._seat_all(owners, owner.tolist(), np.flatnonzero(in_use).tolist())

    def obey(self, allotment: Allotment) -> None:
        """Decide by ``allotment`` from now on. What is too much by it goes when something comes."""
        self._room = allotment.room
        self._worth = allotment.worth
        self._priorities = allotment.priorities

    def is_due(self, holding: Holding) -> bool:
        """Say whether ``holding`` fits as things are, or has a right to room that is lent."""
        match self._claim(holding):
            case Fits():
                return True
            case FromCategories(cause=cause):
                return cause is Cause.RECLAIMED
            case _:
                return False

    def too_large(self, holding: Holding) -> bool:
        """Say whether ``holding`` cannot be held, whatever goes."""
        return isinstance(self._claim(holding), TooLarge)

    def expires_s(self, row: int) -> float:
        """Return when ``row``, which is in use, expires."""
        return self._expires_s[row]

    def victim(self, holding: Holding) -> tuple[int, Cause] | None:
        """Return the row that must go for ``holding``, and why; None when it fits.

        Ask again when the row was discarded. Not to be asked for what is ``too_large``.
        """
        match self._claim(holding):
            case FromScope():
                return self._least([self._owners[holding.stake.owner]]), Cause.SCOPE
            case FromCategories(names=names, cause=cause):
                return self._least([self._groups[name] for name in names]), cause
            case _:
                return None

    def add(self, row: int, holding: Holding) -> None:
        """Account for ``row``, which is not in use."""
        now_s = self._clock()
        while len(self._seat) <= row:
            self._more()
        group = self._groups.get(holding.category)
        if group is None:
            group = self._groups[holding.category] = _Group(number=len(self._names))
            self._names.append(holding.category)
            self._held[holding.category] = group.used
        self._category[row] = group.number
        self._seat[row] = _sit(group, row, holding.size_bytes)
        owner = self._owners.setdefault(holding.stake.owner, _Group(holding.stake.owner))
        self._owner[row] = owner.name  # one object for all
        self._owner_seat[row] = _sit(owner, row, holding.size_bytes)
        self.total.add(holding.size_bytes)
        self._size_bytes[row] = holding.size_bytes
        self._hits[row] = 0
        self._admitted_s[row] = self._used_s[row] = now_s
        self._expires_s[row] = holding.expires_s
        self._level_then[row] = self._level
        self._uses[row] = 0.0
        cost_s = holding.stake.cost_s
        cost_s = cost_s if 0.0 < cost_s < LONGEST_S else 0.0  # NaN is not known
        self._cost_s[row] = cost_s
        self._likeness[row] = holding.stake.likeness
        self._demand(holding.category, now_s).admitted(now_s, cost_s)

    def touch(self, row: int, *, by_meaning: bool = False) -> None:
        """Count a hit on ``row``."""
        now_s = self._clock()
        uses = faded(self._uses[row], now_s - self._used_s[row])
        self._uses[row] = uses + (1.0 - covered(self._likeness[row]) if by_meaning else 1.0)
        self._used_s[row] = now_s
        self._hits[row] += 1
        self._level_then[row] = self._level
        self._demand(self._names[self._category[row]], now_s).hit(now_s)

    def discard(self, row: int) -> None:
        """Take ``row``, which is in use, out of the accounts."""
        category, size_bytes = self._names[self._category[row]], self._size_bytes[row]
        self._rise(self._groups[category], self._seat, row)
        owner = self._owner[row]
        self._rise(self._owners[owner], self._owner_seat, row)
        if not self._owners[owner].rows:
            del self._owners[owner]
        self.total.take(size_bytes)
        now_s = self._clock()
        self._demand(category, now_s).removed(now_s)

    def by_category(self) -> dict[str, tuple[Used, Used]]:
        """Return what each category holds, and what it can always have."""
        names = {**self._room.limits.quotas, **self._held}
        return {
            name: (replace(self._held.get(name, Used())), self._room.guarantee(name))
            for name in names
        }

    def _seat_all(
        self, names: Sequence[bytes], owners: Sequence[int], in_use: Sequence[int]
    ) -> None:
        groups = [_Group(number=number) for number in range(len(self._names))]
        self._groups = dict(zip(self._names, groups, strict=True))
        self._held = {name: group.used for name, group in self._groups.items()}
        people = [_Group(name) for name in names]
        for row in in_use:
            size_bytes, owner = self._size_bytes[row], people[owners[row]]
            self._seat[row] = _sit(groups[self._category[row]], row, size_bytes)
            self._owner[row] = owner.name
            self._owner_seat[row] = _sit(owner, row, size_bytes)
            self.total.add(size_bytes)
        self._owners = {owner.name: owner for owner in people if owner.rows}

    def _claim(self, holding: Holding) -> Claim:
        owner = self._owners.get(holding.stake.owner)
        of_scope = _NOTHING if owner is None else owner.used
        category, size_bytes = holding.category, holding.size_bytes
        return self._room.claim(category, size_bytes, self._held, self.total, of_scope)

    def _least(self, groups: Sequence[_Group]) -> int:
        """Return the row of a sample of ``groups`` that is worth least."""
        now_s = self._clock()
        kinds: dict[str, Kind] = {}
        least, row = math.inf, ABSENT
        for drawn in self._drawn([group.rows for group in groups]):
            category = self._names[self._category[drawn]]
            kind = kinds.get(category)
            if kind is None:
                kind = kinds[category] = self._kind(category, now_s)
            worth = self._worth(self._kept(drawn, now_s), kind, now_s)
            if worth < least or row == ABSENT:
                least, row = worth, drawn
        self._level = max(self._level, least)
        return row

    def _drawn(self, rows: Sequence[array[int]]) -> Iterable[int]:
        count = sum(map(len, rows))
        if count <= self._sample:
            return [row for some in rows for row in some]
        drawn = []
        for _ in range(self._sample):
            at = int(self._dice.random() * count)
            for some in rows:
                if at < len(some):
                    drawn.append(some[at])
                    break
                at -= len(some)
        return drawn

    def _kept(self, row: int, now_s: float) -> Kept:
        limits = self._room.limits
        share = 1.0 / limits.entries
        if limits.size_bytes is not None:
            share = max(share, self._size_bytes[row] / limits.size_bytes)
        return Kept(
            admitted_s=self._admitted_s[row],
            used_s=self._used_s[row],
            hits=self._hits[row],
            uses=self._uses[row],
            level=self._level_then[row],
            cost_s=self._cost_s[row],
            left_s=self._expires_s[row] - now_s,
            likeness=self._likeness[row],
            share=share,
        )

    def _kind(self, category: str, now_s: float) -> Kind:
        demand = self._demand(category, now_s)
        demand.pass_time(now_s)
        priority = self._priorities.get(category, 1.0)
        return Kind(priority, demand.rate_per_s, demand.mean_cost_s)

    def _demand(self, category: str, now_s: float) -> Demand:
        demand = self._demands.get(category)
        if demand is None:
            demand = self._demands[category] = Demand(now_s)
        return demand

    def _rise(self, group: _Group, seats: array[int], row: int) -> None:
        """Let ``row`` leave ``group``: the last of its rows takes the seat."""
        seat, last = seats[row], group.rows.pop()
        if last != row:
            group.rows[seat] = last
            seats[last] = seat
        group.used.take(self._size_bytes[row])

    def _more(self) -> None:
        self._owner.append(b"")
        for whole in (
            self._category,
            self._seat,
            self._owner_seat,
            self._size_bytes,
            self._hits,
        ):
            whole.append(0)
        for real in (
            self._admitted_s,
            self._used_s,
            self._expires_s,
            self._level_then,
            self._uses,
            self._cost_s,
            self._likeness,
        ):
            real.append(0.0)


def _sit(group: _Group, row: int, size_bytes: int) -> int:
    group.rows.append(row)
    group.used.add(size_bytes)
    return len(group.rows) - 1
