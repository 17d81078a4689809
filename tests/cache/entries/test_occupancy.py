"""Room in the running cache: accounts that are true after anything, and who goes when it is short.

The machine drives ``Memory`` as the engine does, with real writes at the end: what the store then
holds is what the table holds.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kindcache.cache.asking.scope import Principal
from kindcache.cache.entries.entry import IndexRecord
from kindcache.cache.entries.occupancy import Holding, Occupancy, Stake
from kindcache.cache.events import GaveWay, NotStored, Removed
from kindcache.cache.ports import EntryKey, PartitionKey
from kindcache.policies.allotment import Allotment
from kindcache.policies.room import Cause, Limits, Room, Used
from kindcache.policies.verdict import Admit, Reason, Refuse
from kindcache.policies.worth import WORTHS
from tests.cache.small_engine import (
    TroubledStore,
    fill,
    found,
    leading,
    payload,
    request,
    running,
    small_engine,
)
from tests.conftest import FakeClock

KINDS = ("code", "news", "default")
OWNERS = [Principal(bytes([n]) * 16) for n in (1, 2, 3)]
KEYS = [EntryKey(bytes([n]) * 16) for n in range(20)]
HOME = PartitionKey(b"p" * 16)


class Blind:
    """An embedder that reads nothing: no vectors are needed here."""

    identity = "e"
    dim = 4

    async def embed(self, _text: str) -> None:
        return None

    async def open(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to free."""


class Rooms(RuleBasedStateMachine):
    """A memory and its table beside a dictionary of what was admitted and did not go."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.known: dict[EntryKey, tuple[str, Principal, int]] = {}

    @initialize(
        entries=st.integers(1, 8),
        size_bytes=st.none() | st.integers(150, 1500),
        parts=st.lists(st.integers(0, 10), min_size=3, max_size=3),
        per_scope=st.none() | st.sampled_from([0.4, 1.0]),
        eviction=st.sampled_from(sorted(WORTHS)),
    )
    def build(
        self,
        entries: int,
        size_bytes: int | None,
        parts: list[int],
        per_scope: float | None,
        eviction: str,
    ) -> None:
        whole = max(10, sum(parts))
        quotas = {kind: part / whole for kind, part in zip(KINDS, parts, strict=True)}
        self.limits = Limits(entries, size_bytes, quotas, per_scope)
        worth = WORTHS[eviction]  # type: ignore[index]
        allotment = Allotment(Room(self.limits), worth, {"code": 3.0})
        occupancy = Occupancy(allotment, self.clock, Random(1), sample=3)
        self.store = TroubledStore(self.clock)
        self.engine, self.seen = small_engine(
            self.clock, self.store, Blind(), occupancy=occupancy, write_limit=10_000
        )
        self.memory = self.engine.memory
        self.ask = self.engine.identity.identify(request("a prompt"), b"epoch")

    @rule(
        key=st.sampled_from(KEYS),
        kind=st.sampled_from(KINDS),
        owner=st.sampled_from(OWNERS),
        length=st.integers(0, 300),
        upstream_s=st.sampled_from([0.0, 0.5, 40.0, float("nan")]),
    )
    def admit(
        self, key: EntryKey, kind: str, owner: Principal, length: int, upstream_s: float
    ) -> None:
        assert self.ask is not None
        before = dict(self.known)
        text = Random(length).randbytes(length).hex()
        new = replace(payload(text, kind, self.clock()), upstream_s=upstream_s)
        ask = replace(self.ask, key=key, principal=owner)
        seen = len(self.seen.of(GaveWay))
        refused = self.memory.admit(ask, new, None, Admit(1e6, likeness=0.5))
        gone = self.seen.of(GaveWay)[seen:]
        if refused is not None:
            assert refused is Reason.ROOM
            assert not gone
            return
        entry = self.memory.table.get(key)
        assert entry is not None
        self.known.pop(key, None)
        left = [old for old in self.known if old not in self.memory.table]
        assert sorted(self.known[old][0] for old in left) == sorted(one.category for one in gone)
        for old in left:
            del self.known[old]
            assert self.memory.hot.get(old) is None
            assert self.memory.writer.is_deleting(old)
        self.known[key] = (kind, owner, entry.size_bytes)
        self.nobody_paid_from_a_guarantee(before, gone, kind)

    @rule(key=st.sampled_from(KEYS), kind=st.sampled_from(KINDS), size_bytes=st.integers(1, 300))
    def adopt(self, key: EntryKey, kind: str, size_bytes: int) -> None:
        now_s = self.clock()
        record = IndexRecord(
            HOME, kind, "p", now_s, now_s + 9.0, size_bytes, "e", b"", principal=OWNERS[0]
        )
        pending = self.memory.writer.waiting
        self.memory.adopt(key, record)
        assert self.memory.writer.waiting == pending  # the store keeps all it has
        self.known = {old: one for old, one in self.known.items() if old in self.memory.table}
        if key in self.memory.table and key not in self.known:
            self.known[key] = (kind, OWNERS[0], size_bytes)

    @rule(key=st.sampled_from(KEYS), by_meaning=st.booleans())
    def touch(self, key: EntryKey, by_meaning: bool) -> None:
        self.memory.table.touch(key, by_meaning=by_meaning)

    @rule(key=st.sampled_from(KEYS))
    def remove(self, key: EntryKey) -> None:
        assert self.memory.remove([key], "purged") == (key in self.known)
        self.known.pop(key, None)

    @rule(seconds=st.integers(-5, 400_000))
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.memory.expire(self.clock())
        self.known = {old: one for old, one in self.known.items() if old in self.memory.table}

    @rule()
    def clear(self) -> None:
        self.memory.clear()
        self.known.clear()

    @invariant()
    def the_accounts_are_true(self) -> None:
        if not hasattr(self, "memory"):
            return
        table, limits = self.memory.table, self.limits
        assert {entry.key for entry in table} == set(self.known)
        for entry in table:
            kind, _, size_bytes = self.known[entry.key]
            assert (entry.category, entry.size_bytes) == (kind, size_bytes)
        shares = table.occupancy.by_category()
        for kind in KINDS:
            mine = [one[2] for one in self.known.values() if one[0] == kind]
            used, guaranteed = shares.get(kind, (Used(), Used()))
            assert used == Used(len(mine), sum(mine))
            assert guaranteed == limits.guarantee(kind)
        assert table.occupancy.total == Used(
            len(self.known), sum(one[2] for one in self.known.values())
        )
        assert table.size_bytes == table.occupancy.total.size_bytes
        assert len(table) <= limits.entries
        assert limits.size_bytes is None or table.size_bytes <= limits.size_bytes
        for owner in OWNERS:
            mine = [one[2] for one in self.known.values() if one[1] == owner]
            assert limits.cap is None or len(mine) <= limits.cap.entries
            if limits.cap is not None and limits.size_bytes is not None:
                assert sum(mine) <= limits.cap.size_bytes

    def nobody_paid_from_a_guarantee(
        self,
        before: dict[EntryKey, tuple[str, Principal, int]],
        gone: list[GaveWay],
        newcomer: str,
    ) -> None:
        for kind in {one.category for one in gone if one.cause is not Cause.SCOPE} - {newcomer}:
            had = [one[2] for one in before.values() if one[0] == kind]
            part = self.limits.guarantee(kind)
            over_bytes = self.limits.size_bytes is not None and sum(had) > part.size_bytes
            assert len(had) > part.entries or over_bytes

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            asyncio.run(self.the_store_holds_what_the_table_holds())

    async def the_store_holds_what_the_table_holds(self) -> None:
        self.memory.writer.start()
        await self.memory.writer.drain()
        stored = {key async for key, _ in self.store.records()}
        await self.memory.writer.aclose(10.0)
        # ``adopt`` says that the store has what it names, and ``clear`` leaves the store as it is
        assert not self.seen.of(NotStored)
        for old in self.seen.of(Removed):
            assert old.count > 0
        assert all(key not in stored for key in KEYS if self.memory.writer.is_deleting(key))


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def occupancy(clock: FakeClock, limits: Limits, eviction: str = "value") -> Occupancy:
    allotment = Allotment(Room(limits), WORTHS[eviction])  # type: ignore[index]
    return Occupancy(allotment, clock, Random(1))


def filled(clock: FakeClock, count: int, **kinds: float) -> Occupancy:
    """Return a room for ``count`` rows that is full, the costs by kind, in turn."""
    room = occupancy(clock, Limits(count))
    for row in range(count):
        kind = list(kinds)[row % len(kinds)]
        room.add(row, Holding(kind, 10, clock() + 1e6, Stake(b"o", kinds[kind])))
    return room


def turnover(room: Occupancy, rounds: int, *, kind: str = "new", cost_s: float = 1.0) -> list[int]:
    """Let ``rounds`` newcomers in; return the rows that went."""
    gone = []
    for _ in range(rounds):
        holding = Holding(kind, 10, 1e12, Stake(b"o", cost_s))
        victim = room.victim(holding)
        assert victim is not None
        gone.append(victim[0])
        room.discard(victim[0])
        room.add(victim[0], holding)
    return gone


def test_what_costs_the_model_much_stays_longer(clock: FakeClock) -> None:
    room = filled(clock, 400, dear=20.0, cheap=0.5)
    gone = turnover(room, 100, cost_s=1.0)
    assert sum(row % 2 == 0 for row in gone) < 5


def test_what_never_repeats_gives_way_to_what_does(clock: FakeClock) -> None:
    room = filled(clock, 400, asked=1.0, never=1.0)
    for _ in range(30):
        clock.advance(60.0)
        for row in range(0, 400, 20):
            room.touch(row)
    gone = turnover(room, 100)
    assert sum(row % 2 == 0 for row in gone) < 10
    assert not {row for row in gone if row % 20 == 0}


def test_a_hit_that_a_neighbour_would_have_served_counts_for_less(clock: FakeClock) -> None:
    room = occupancy(clock, Limits(2))
    room.add(0, Holding("code", 10, 1e12, Stake(b"o", 1.0, likeness=0.99)))
    room.add(1, Holding("code", 10, 1e12, Stake(b"o", 1.0, likeness=0.99)))
    room.touch(0, by_meaning=True)
    room.touch(1)
    clock.advance(60.0)
    assert room.victim(Holding("code", 10)) == (0, Cause.EVICTED)


@pytest.mark.parametrize(
    ("eviction", "goes"), [("lru", 1), ("fifo", 0), ("lfu", 1), ("gdsf", 2), ("value", 2)]
)
def test_each_policy_lets_its_own_go(clock: FakeClock, eviction: str, goes: int) -> None:
    room = occupancy(clock, Limits(3), eviction)
    for row, cost_s in enumerate((5.0, 5.0, 0.1)):
        clock.advance(1.0)
        room.add(row, Holding("code", 10, 1e12, Stake(b"o", cost_s)))
    clock.advance(1.0)
    room.touch(2)
    room.touch(0)
    assert room.victim(Holding("code", 10)) == (goes, Cause.EVICTED)


def test_an_eviction_looks_at_a_sample_however_many_there_are(clock: FakeClock) -> None:
    looked_at = []

    def worth(kept: object, _kind: object, _now_s: float) -> float:
        looked_at.append(kept)
        return 0.0

    room = Occupancy(Allotment(Room(Limits(5_000)), worth), clock, Random(1), sample=7)
    for row in range(5_000):
        room.add(row, Holding("code", 1))
    assert room.victim(Holding("code", 1)) is not None
    assert len(looked_at) == 7


def test_other_shares_hold_from_the_next_newcomer_on(clock: FakeClock) -> None:
    room = filled(clock, 10, code=1.0, news=1.0)
    room.obey(Allotment(Room(Limits(4, quotas={"news": 0.5}))))
    gone = 0
    while (victim := room.victim(Holding("code", 10))) is not None:
        room.discard(victim[0])
        gone += 1
    assert gone == 7
    assert room.by_category()["news"][0].entries >= 2


@pytest.mark.anyio
async def test_an_evicted_answer_leaves_no_alias_payload_or_record(clock: FakeClock) -> None:
    room = occupancy(clock, Limits(1))
    async with running(clock, occupancy=room) as at:
        await fill(at.engine, request("show the code for sorting a list"))
        (first,) = at.engine.memory.table.keys_of()
        other = request("please show the code for sorting a list")
        assert (await found(at.engine, other)).hit.key == first
        assert len(at.engine.aliases) == 1
        await fill(at.engine, request("something else"))
        assert at.seen.of(GaveWay) == [GaveWay("code", Cause.EVICTED)]
        assert at.seen.of(Removed) == [Removed(1, "evicted")]
        assert at.engine.memory.hot.get(first) is None
        await at.engine.memory.writer.drain()
        assert await at.store.get(first) is None
        assert first not in {key async for key, _ in at.store.records()}
        await leading(at.engine, other)
        assert len(at.engine.aliases) == 0


@pytest.mark.anyio
async def test_one_tenant_pushes_out_its_own_answers_only(clock: FakeClock) -> None:
    room = occupancy(clock, Limits(10, per_scope=0.5))
    async with running(clock, occupancy=room) as at:
        await fill(at.engine, request("kept", owner="bob"))
        for number in range(40):
            clock.advance(1.0)
            await fill(at.engine, request(f"flood {number}", owner="mallory", user=str(number)))
        await found(at.engine, request("kept", owner="bob"))
        assert len(at.engine.memory.table) == 6
        assert {one.cause for one in at.seen.of(GaveWay)} == {Cause.SCOPE}


@pytest.mark.anyio
async def test_an_answer_that_can_never_fit_is_refused_and_nothing_goes(clock: FakeClock) -> None:
    room = occupancy(clock, Limits(10, size_bytes=600))
    async with running(clock, occupancy=room) as at:
        assert isinstance(await fill(at.engine, request("small")), Admit)
        long = Random(1).randbytes(2_000).hex()
        assert await fill(at.engine, request("large"), long) == Refuse(Reason.ROOM)
        assert [one.reason for one in at.seen.of(NotStored)] == [Reason.ROOM]
        await found(at.engine, request("small"))


@pytest.mark.anyio
async def test_after_a_restart_lent_room_makes_way_here_and_the_store_keeps_all(
    clock: FakeClock,
) -> None:
    room = occupancy(clock, Limits(4, quotas={"code": 0.5}))
    async with running(clock, occupancy=room) as at:
        memory = at.engine.memory
        now_s = clock()
        for number in range(8):
            kind = "news" if number < 5 else "code"
            record = IndexRecord(HOME, kind, "p", now_s, now_s + 60.0, 10, "e", b"")
            memory.adopt(KEYS[number], record)
        assert memory.table.count_by_category() == {"news": 2, "code": 2}
        assert memory.writer.waiting == 0
