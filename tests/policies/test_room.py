"""Guaranteed shares, lent room and caps, against a plain list of what is held."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kindcache.policies.room import (
    Cause,
    Fits,
    FromCategories,
    FromScope,
    Limits,
    Room,
    TooLarge,
    Used,
)

KINDS = ("code", "news", "default")
SCOPES = (b"a", b"b", b"c")


@dataclass(frozen=True)
class One:
    kind: str
    scope: bytes
    size_bytes: int


def used(held: list[One]) -> Used:
    return Used(len(held), sum(one.size_bytes for one in held))


def by_kind(held: list[One]) -> dict[str, Used]:
    return {kind: used([one for one in held if one.kind == kind]) for kind in KINDS}


class Rooms(RuleBasedStateMachine):
    """Entries come and go; whoever must give is drawn among those whom the verdict names."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[One] = []
        self.dice = Random(1)

    @initialize(
        entries=st.integers(1, 12),
        size_bytes=st.none() | st.integers(1, 100),
        parts=st.lists(st.integers(0, 10), min_size=3, max_size=3),
        per_scope=st.none() | st.sampled_from([0.3, 0.5, 1.0]),
    )
    def limit(
        self, entries: int, size_bytes: int | None, parts: list[int], per_scope: float | None
    ) -> None:
        whole = max(10, sum(parts))
        quotas = {kind: part / whole for kind, part in zip(KINDS, parts, strict=True)}
        self.limits = Limits(entries, size_bytes, quotas, per_scope)
        self.room = Room(self.limits)

    @rule(kind=st.sampled_from(KINDS), scope=st.sampled_from(SCOPES), size_bytes=st.integers(0, 40))
    def come(self, kind: str, scope: bytes, size_bytes: int) -> None:
        gone = 0
        while True:
            mine = [one for one in self.held if one.scope == scope]
            claim = self.room.claim(
                kind, size_bytes, by_kind(self.held), used(self.held), used(mine)
            )
            match claim:
                case Fits():
                    self.held.append(One(kind, scope, size_bytes))
                    return
                case TooLarge():
                    assert gone == 0, "nobody goes for what does not come in"
                    assert self.held or self.cannot_be_held(size_bytes)
                    return
                case FromScope():
                    self.leave(self.dice.choice(mine))
                case FromCategories(names=names, cause=cause):
                    self.look_at(names, cause, kind, size_bytes)
                    self.leave(self.dice.choice([o for o in self.held if o.kind in names]))
            gone += 1

    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        if self.held:
            self.leave(data.draw(st.sampled_from(self.held)))

    @invariant()
    def never_over_capacity_and_no_scope_over_its_cap(self) -> None:
        limits, cap = self.limits, self.limits.cap
        within(used(self.held), limits.entries, limits.size_bytes)
        if cap is not None:
            bytes_cap = None if limits.size_bytes is None else cap.size_bytes
            for scope in SCOPES:
                mine = used([one for one in self.held if one.scope == scope])
                within(mine, cap.entries, bytes_cap)

    def leave(self, one: One) -> None:
        self.held.remove(one)

    def cannot_be_held(self, size_bytes: int) -> bool:
        """Say whether it is larger than what it may take by itself, the others' idle room too."""
        limits, cap = self.limits, self.limits.cap
        whole = size_bytes > (limits.size_bytes or size_bytes)
        of_scope = cap is not None and (
            cap.entries < 1 or (limits.size_bytes is not None and size_bytes > cap.size_bytes)
        )
        return whole or of_scope

    def look_at(self, names: tuple[str, ...], cause: Cause, kind: str, size_bytes: int) -> None:
        """Others give only what they have beyond their guarantee, the most indebted one first."""
        shares, limits = by_kind(self.held), self.limits
        total = used(self.held)
        in_entries = total.entries + 1 > limits.entries

        def over(name: str) -> int:
            part = limits.guarantee(name)
            if in_entries:
                return shares[name].entries - part.entries
            return shares[name].size_bytes - part.size_bytes

        assert all(over(name) > 0 for name in names if name != kind)
        wanted = 1 if in_entries else size_bytes
        if over(kind) + wanted <= 0:
            assert cause is Cause.RECLAIMED
            assert kind not in names
            assert [over(name) for name in names] == [max(map(over, KINDS))]
        else:
            assert cause is Cause.EVICTED


def within(held: Used, entries: int, size_bytes: int | None) -> None:
    assert held.entries <= entries
    assert size_bytes is None or held.size_bytes <= size_bytes


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)

HALVES = Room(Limits(10, quotas={"code": 0.5, "news": 0.3}))


def claim(kind: str, **held: int) -> object:
    shares = {name: Used(count) for name, count in held.items()}
    total = Used(sum(held.values()))
    return HALVES.claim(kind, 1, shares, total, Used())


def test_idle_room_is_lent_to_whoever_asks() -> None:
    assert claim("default", default=9) == Fits()
    assert claim("news", news=9) == Fits()


def test_a_category_within_its_guarantee_takes_from_the_one_most_over() -> None:
    taken = claim("code", code=2, news=5, default=3)
    assert taken == FromCategories(("default",), Cause.RECLAIMED)
    taken = claim("code", code=2, news=7, default=1)
    assert taken == FromCategories(("news",), Cause.RECLAIMED)


def test_borrowers_compete_for_what_is_lent_and_nobody_else_gives() -> None:
    taken = claim("news", code=5, news=4, default=1)
    assert taken == FromCategories(("news", "default"), Cause.EVICTED)
    assert claim("default", code=5, news=3, default=2) == FromCategories(
        ("default",), Cause.EVICTED
    )


def test_what_would_need_guaranteed_room_of_others_is_refused() -> None:
    full = Room(Limits(10, quotas={"code": 0.6, "news": 0.4}))
    held = {"code": Used(6), "news": Used(4)}
    assert full.claim("default", 1, held, Used(10), Used()) == TooLarge()
    held = {"code": Used(7), "news": Used(3)}
    taken = full.claim("default", 1, held, Used(10), Used())
    assert taken == FromCategories(("code",), Cause.EVICTED)


@pytest.mark.parametrize(("size_bytes", "fits"), [(30, True), (31, False)])
def test_an_answer_larger_than_its_scope_may_have_is_refused(size_bytes: int, fits: bool) -> None:
    room = Room(Limits(10, 100, per_scope=0.3))
    assert (room.claim("code", size_bytes, {}, Used(), Used()) == Fits()) is fits


def test_a_scope_at_its_cap_pays_itself_although_there_is_room() -> None:
    room = Room(Limits(10, per_scope=0.2))
    held = {"code": Used(2)}
    assert room.claim("code", 1, held, Used(2), Used(2)) == FromScope()
    assert room.claim("code", 1, held, Used(2), Used(1)) == Fits()


def test_shares_are_not_lost_to_rounding() -> None:
    assert Limits(100, quotas={"code": 0.29}).guarantee("code") == Used(29)
    assert Limits(3, quotas={"code": 0.3}).guarantee("code") == Used(0)
