"""The table and its indexes: in step after whatever happens."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kindcache.cache.asking.history import History
from kindcache.cache.entries.entry_rows import Entry
from kindcache.cache.entries.table import Table
from kindcache.cache.index.build import Build
from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.ports import EntryKey, PartitionKey
from kindcache.policies.guards.signature import signature
from tests.cache.index.vectors import prompts
from tests.cache.rooms import by_recency

DIM = 8
CAPACITY = 14
ROWS = prompts(30, DIM)
KEYS = [EntryKey(bytes([n]) * 16) for n in range(24)]
PLACES = [PartitionKey(bytes([n]) * 16) for n in (100, 101)]
LOOSE = History(PartitionKey(bytes([102]) * 16), ())
CATEGORIES = ("code", "news")
NOTHING = signature("")


def entry(
    key: EntryKey,
    *,
    place: PartitionKey = PLACES[0],
    category: str = "code",
    expires_s: float = 100.0,
    size_bytes: int = 1,
    history: History | None = None,
) -> Entry:
    return Entry(key, place, category, "p", NOTHING, 0.0, expires_s, size_bytes, history=history)


def places(one: Entry) -> list[PartitionKey]:
    return [one.partition, *([] if one.history is None else [one.history.partition])]


def small_table(capacity: int = CAPACITY) -> Table:
    return Table(
        by_recency(capacity), lambda _category: CategoryIndex(DIM, slab_rows=4, graph_from=10)
    )


@dataclass
class Known:
    entry: Entry
    row: int | None


class Tables(RuleBasedStateMachine):
    """A table beside an ordered dictionary, oldest use first, and the vectors it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.table = small_table()
        self.model: OrderedDict[EntryKey, Known] = OrderedDict()
        self.now_s = 0.0
        self.builds: list[tuple[CategoryIndex, Build]] = []

    @rule(
        key=st.sampled_from(KEYS),
        place=st.sampled_from(PLACES),
        category=st.sampled_from(CATEGORIES),
        life_s=st.integers(0, 50),
        size_bytes=st.integers(0, 100),
        row=st.none() | st.integers(0, len(ROWS) - 1),
        history=st.sampled_from([None, LOOSE]),
    )
    def admit(
        self,
        key: EntryKey,
        place: PartitionKey,
        category: str,
        life_s: int,
        size_bytes: int,
        row: int | None,
        history: History | None,
    ) -> None:
        new = entry(
            key,
            place=place,
            category=category,
            expires_s=self.now_s + life_s,
            size_bytes=size_bytes,
            history=history,
        )
        evicted = [old.entry for old in self.table.admit(new, None if row is None else ROWS[row])]
        self.model.pop(key, None)
        self.model[key] = Known(new, row)
        expected = []
        while len(self.model) > CAPACITY:
            expected.append(self.model.popitem(last=False)[1].entry)
        assert evicted == expected

    @rule(first=st.integers(0, len(KEYS) - 1), place=st.sampled_from(PLACES))
    def admit_many(self, first: int, place: PartitionKey) -> None:
        for key in range(first, len(KEYS)):
            self.admit(KEYS[key], place, "code", 20, 3, key, None)

    @rule(key=st.sampled_from(KEYS))
    def touch(self, key: EntryKey) -> None:
        self.table.touch(key)
        if key in self.model:
            self.model.move_to_end(key)

    @rule(key=st.sampled_from(KEYS))
    def remove(self, key: EntryKey) -> None:
        known = self.model.pop(key, None)
        assert self.table.remove(key) == (None if known is None else known.entry)

    @rule(seconds=st.integers(0, 30), limit=st.sampled_from([1, 3, 1000]))
    def expire(self, seconds: int, limit: int) -> None:
        self.now_s += seconds
        due = sorted(
            known.entry.expires_s
            for known in self.model.values()
            if known.entry.expires_s <= self.now_s
        )
        gone = self.table.expire(self.now_s, limit)
        assert sorted(one.expires_s for one in gone) == due[:limit]
        for one in gone:
            assert self.model.pop(one.key).entry == one

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.model.clear()

    @rule()
    def start_builds(self) -> None:
        for index in self.table.indexes():
            if all(index is not busy for busy, _ in self.builds):
                build = index.next_build()
                if build is not None:
                    self.builds.append((index, build))

    @rule(run=st.booleans())
    def end_builds(self, run: bool) -> None:
        for index, build in self.builds:
            if run:
                build.run()
            index.finish_build(build)
        self.builds.clear()

    @invariant()
    def the_accounts_are_right(self) -> None:
        assert len(self.table) == len(self.model) <= CAPACITY
        assert self.table.size_bytes == sum(k.entry.size_bytes for k in self.model.values())
        assert {one.key for one in self.table} == set(self.model)
        counts = self.table.count_by_category()
        kinds = [known.entry.category for known in self.model.values()]
        assert counts == {kind: kinds.count(kind) for kind in set(kinds)}
        for key in KEYS:
            known = self.model.get(key)
            got = self.table.get(key)
            assert got == (None if known is None else known.entry)
            assert (key in self.table) == (known is not None)
        for category in CATEGORIES:
            keys = {k for k, known in self.model.items() if known.entry.category == category}
            assert set(self.table.keys_of(category)) == keys
        assert set(self.table.keys_of()) == set(self.model)

    @invariant()
    def each_index_holds_its_own_and_no_other(self) -> None:
        assert sum(map(len, self.table.indexes())) == sum(
            1 if known.entry.history is None else 2
            for known in self.model.values()
            if known.row is not None
        )
        for category in CATEGORIES:
            for place in (*PLACES, LOOSE.partition):
                found = self.table.neighbours([category], place, ROWS[0], 100)
                expected = {
                    known.entry.key: float(ROWS[known.row] @ ROWS[0])
                    for known in self.model.values()
                    if known.row is not None
                    and known.entry.category == category
                    and place in places(known.entry)
                }
                got = {one.key: similarity for one, similarity in found}
                assert got == pytest.approx(expected, abs=1e-5)
                assert [s for _, s in found] == sorted(got.values(), reverse=True)


TestTables = Tables.TestCase
TestTables.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


def test_the_heap_of_expiries_does_not_outgrow_the_table() -> None:
    table = small_table()
    for number in range(5_000):
        table.admit(entry(KEYS[number % 3], expires_s=1e9 + number), None)
    assert len(table._expiry) < 100
    assert len(table.expire(2e9)) == 3


def test_what_was_replaced_does_not_expire_with_the_old_date() -> None:
    table = small_table()
    table.admit(entry(KEYS[0], expires_s=1.0), ROWS[0])
    table.admit(entry(KEYS[0], expires_s=5.0), ROWS[0])
    assert table.expire(2.0) == []
    assert len(table.expire(5.0)) == 1
    assert len(table) == 0


def test_an_unusable_vector_is_refused_and_changes_nothing_else() -> None:
    table = small_table()
    table.admit(entry(KEYS[0]), ROWS[0])
    with pytest.raises(ValueError, match="shape"):
        table.admit(entry(KEYS[1]), np.zeros(DIM + 1, np.float32))
    assert [one.key for one in table] == [KEYS[0]]
    assert table.size_bytes == 1
    assert len(table.neighbours(["code"], PLACES[0], ROWS[0], 5)) == 1


def test_other_conversations_take_no_room_from_ones_own_and_none_comes_twice() -> None:
    table, rows = small_table(), prompts(8, DIM)
    for number in range(8):
        place = PLACES[number % 2]
        table.admit(entry(KEYS[number], place=place, history=LOOSE), rows[number])
    near = table.neighbours(["code"], PLACES[0], rows[1], 3, LOOSE)
    keys = [one.key for one, _ in near]
    assert keys[0] == KEYS[1]
    assert len(keys) == len(set(keys))
    assert 4 <= len(keys) <= 6
    alone = table.neighbours(["code"], PLACES[0], rows[1], 3)
    assert {one.key for one, _ in alone} <= set(keys)
    assert [s for _, s in near] == sorted((s for _, s in near), reverse=True)


def test_what_is_near_is_searched_anew_after_each_change() -> None:
    table = small_table()
    asked = ROWS[0]  # the same each time: then it is remembered

    def near() -> list[bytes]:
        return [one.key for one in table.near(["code"], PLACES[0], asked, 5)]

    first, second = entry(KEYS[1]), entry(KEYS[2])
    table.admit(first, ROWS[0])
    assert near() == near() == [first.key]
    table.admit(second, ROWS[1])
    assert near() == near() == [first.key, second.key]
    table.remove(first.key)
    assert near() == [second.key]
    table.clear()
    assert near() == []


def test_an_unknown_category_has_no_neighbours() -> None:
    assert small_table().neighbours(["code"], PLACES[0], ROWS[0], 5) == []


def _build_all(table: Table) -> int:
    count = 0
    for index in table.indexes():
        while (build := index.next_build()) is not None:
            build.run()
            index.finish_build(build)
            count += 1
    return count


@pytest.mark.parametrize("places", [1, 7, 300], ids=["one partition", "some", "nearly one each"])
def test_all_that_is_kept_is_found_after_ten_times_the_capacity(places: int) -> None:
    capacity, passed, dim = 300, 3_000, 32
    rows = prompts(passed, dim)
    table = Table(
        by_recency(capacity), lambda _category: CategoryIndex(dim, slab_rows=16, graph_from=60)
    )
    homes = [PartitionKey(number.to_bytes(16)) for number in range(places)]
    kinds = ("code", "news")
    keys = [EntryKey(number.to_bytes(16)) for number in range(passed)]
    builds = 0
    for number in range(passed):
        home, kind = homes[number % places], kinds[number // 2 % 2]
        table.admit(entry(keys[number], place=home, category=kind), rows[number])
        if number % 50 == 0:
            builds += _build_all(table)
    assert len(table) == capacity
    assert (builds > 1) == (places == 1)
    hits = 0
    for number in range(passed):
        home, kind = homes[number % places], kinds[number // 2 % 2]
        found = table.neighbours([kind], home, rows[number], 5)
        here = bool(found) and found[0][0].key == keys[number]
        assert number >= passed - capacity or not here
        hits += here
    assert hits >= 0.98 * capacity
