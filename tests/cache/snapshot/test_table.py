"""A table that went to a file and back holds the same, and finds the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kindcache.cache.asking.history import History
from kindcache.cache.entries.entry_rows import Entry
from kindcache.cache.entries.occupancy import Occupancy, Stake
from kindcache.cache.entries.table import Table
from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.index.coding import Coding
from kindcache.cache.index.float16 import Float16
from kindcache.cache.index.float32 import Float32
from kindcache.cache.index.int8 import Int8
from kindcache.cache.ports import EntryKey, PartitionKey, Vector
from kindcache.cache.snapshot.sections import Unusable
from kindcache.policies.allotment import Allotment
from kindcache.policies.guards.signature import signature
from kindcache.policies.room import Limits, Room
from tests.cache.index.vectors import paraphrases, prompts
from tests.cache.snapshot.saved import loaded, saved

DIM = 16
VECTORS = prompts(200, DIM)
PLACES = [PartitionKey(bytes([n]) * 16) for n in (200, 201, 202)]
CATEGORIES = ["code", "news", "weather"]
CODINGS: dict[str, Callable[[int], Coding]] = {
    "float32": Float32,
    "float16": Float16,
    "int8": Int8,
}


def new_table(coding: Callable[[int], Coding] = Float32, *, graph_from: int = 12) -> Table:
    occupancy = Occupancy(Allotment(Room(Limits(60))), count(0.0).__next__, Random(0))

    def new_index(_category: str) -> CategoryIndex:
        return CategoryIndex(DIM, slab_rows=4, graph_from=graph_from, coding=coding)

    return Table(occupancy, new_index)


def entry(number: int, *, text: str = "", place: int = 0, category: str = "code") -> Entry:
    prompt = text or f"what is the price of {number} apples"
    loose = History(PLACES[2], (f"turn {number}",)) if number % 7 == 3 else None
    key = EntryKey(number.to_bytes(16, "big"))
    return Entry(
        key,
        PLACES[place],
        category,
        prompt,
        signature(prompt),
        float(number),
        1000.0 - number,
        10 + number,
        ttl_s=60.0 if number % 5 == 2 else None,
        history=loose,
    )


def build(table: Table) -> None:
    for index in table.indexes():
        while (due := index.next_build()) is not None:
            due.run()
            index.finish_build(due)


def content(table: Table) -> dict[EntryKey, tuple[Entry, bool]]:
    return {one.key: (one, one.indexed) for one in table}


def figures(table: Table) -> Any:
    rooms = table.occupancy.by_category()
    return {name: used for name, (used, _) in rooms.items() if used.entries}, table.size_bytes


def nearest(table: Table, queries: Sequence[Vector]) -> list[list[tuple[EntryKey, float]]]:
    return [
        [(found.key, similarity) for found, similarity in table.neighbours(CATEGORIES, place, q, 5)]
        for q in queries
        for place in PLACES
    ]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("admit"),
            st.integers(0, 90),
            st.integers(0, 1),
            st.sampled_from(CATEGORIES),
            st.booleans(),
        ),
        st.tuples(st.just("remove"), st.integers(0, 90)),
        st.tuples(st.just("touch"), st.integers(0, 90)),
        st.tuples(st.just("build")),
        st.tuples(st.just("renew")),
    ),
    max_size=120,
)
MANY = [("admit", n, 0, "code", True) for n in range(50)]


@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS)
@example(steps=[*MANY, ("build",), *[("remove", n) for n in range(0, 50, 3)]])
@example(steps=[*MANY, ("build",), ("remove", 3), ("renew",)])
@example(steps=[])
@given(steps=STEPS)
@settings(max_examples=25, deadline=None)
def test_what_comes_back_is_what_went(
    coding: Callable[[int], Coding], steps: list[tuple[Any, ...]]
) -> None:
    table = new_table(coding)
    for step in steps:
        match step:
            case ("admit", number, place, category, by_meaning):
                vector = VECTORS[number % 60] if by_meaning else None  # some are equal
                stake = Stake(bytes([number % 3]) * 16, float(number), 0.5)
                table.admit(entry(number, place=place, category=category), vector, stake)
            case ("remove", number):
                table.remove(EntryKey(number.to_bytes(16, "big")))
            case ("touch", number):
                table.touch(EntryKey(number.to_bytes(16, "big")))
            case ("build",):
                build(table)
            case _:
                for index in table.indexes():
                    index.renew()
    back = new_table(coding)
    loaded(saved(table), back)
    assert content(back) == content(table)
    assert figures(back) == figures(table)
    queries = list(paraphrases(VECTORS[::20]))
    build(table)
    build(back)
    found, expected = nearest(back, queries), nearest(table, queries)
    for ours, theirs in zip(found, expected, strict=True):
        assert sorted(s for _, s in ours) == pytest.approx(sorted(s for _, s in theirs), abs=1e-5)


def test_it_goes_on_as_if_nothing_had_been() -> None:
    table, now = new_table(), new_table()
    for number in range(60):
        table.admit(entry(number), VECTORS[number])
    build(table)
    loaded(saved(table), now)
    gone = now.admit(entry(77), VECTORS[77])  # full
    assert len(gone) == 1
    assert len(now) == 60
    now.remove(EntryKey((77).to_bytes(16, "big")))
    held = sorted(one.expires_s for one in now)
    assert [one.expires_s for one in now.expire(2000.0)] == held  # soonest first
    assert len(now) == 0
    assert now.size_bytes == 0
    for number in range(20):
        now.admit(entry(number), VECTORS[number])
    build(now)
    assert nearest(now, [VECTORS[3]])[0][0][0] == EntryKey((3).to_bytes(16, "big"))


def test_admissions_are_numbered_anew() -> None:
    """Else an alias that was judged for one entry would hold for another."""
    table, back = new_table(), new_table()
    for number in range(5):
        table.admit(entry(number), None)
    old = {one.key: table.admission(one.key) for one in table}
    loaded(saved(table), back)
    new = {one.key: back.admission(one.key) for one in back}
    assert not set(old.values()) & set(new.values())
    assert back.admission(entry(7).key) == 0
    back.admit(entry(7), None)
    assert back.admission(entry(7).key) not in {*old.values(), *new.values()}


def test_nothing_of_a_removed_entry_is_written() -> None:
    table = new_table(graph_from=1000)
    secret = replace(entry(1), prompt="what is my diagnosis, and other things of mine")
    table.admit(secret, VECTORS[1], Stake(b"a principal here"))
    for number in range(2, 8):
        table.admit(entry(number), VECTORS[number])
    vector, name = VECTORS[1].tobytes(), bytes(secret.key)
    data = saved(table)
    assert all(piece in data for piece in (vector, name, b"diagnosis", b"a principal here"))
    table.remove(secret.key)
    data = saved(table)
    assert not any(piece in data for piece in (vector, name, b"diagnosis", b"a principal here"))


@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS)
@pytest.mark.parametrize("while_building", [False, True])
def test_a_graph_forgets_removed_vectors_once_it_is_told(
    coding: Callable[[int], Coding], while_building: bool
) -> None:
    table = new_table(coding)
    for number in range(40):
        table.admit(entry(number), VECTORS[number])
    (index,) = table.indexes()
    if not while_building:
        build(table)
    row = coding(DIM).encode(VECTORS[4:5]).tobytes()
    assert row in saved(table)
    due = index.next_build()
    table.remove(entry(4).key)
    index.renew()
    for _ in range(2):
        if due is not None:
            due.run()
            index.finish_build(due)
            due = None
        assert row not in saved(table)
        build(table)
    back = new_table(coding)
    loaded(saved(table), back)
    assert content(back) == content(table)
    assert entry(4).key not in {key for key, _ in nearest(back, [VECTORS[4]])[0]}


def test_a_graph_with_tombstones_is_kept_as_it_is() -> None:
    table, back = new_table(), new_table()
    for number in range(40):
        table.admit(entry(number), VECTORS[number])
    build(table)
    for number in range(0, 40, 4):
        table.remove(entry(number).key)
    loaded(saved(table), back)
    (index,) = back.indexes()
    assert index.next_build() is None  # nothing to do: that is what a snapshot is for
    assert nearest(back, [VECTORS[5]]) == nearest(table, [VECTORS[5]])


@pytest.mark.parametrize("coding", [Float16, Int8])
def test_vectors_kept_in_another_way_are_not_taken(coding: Callable[[int], Coding]) -> None:
    table = new_table()
    table.admit(entry(1), VECTORS[1])
    with pytest.raises(Unusable, match="OtherVectors"):
        loaded(saved(table), new_table(coding))


def test_the_larger_room_for_many_labels() -> None:
    table, back = new_table(), new_table()
    same = np.array(VECTORS[0])
    for number in range(30):
        table.admit(entry(number), same)  # all in one slot of the graph
    build(table)
    loaded(saved(table), back)
    assert len(nearest(back, [same])[0]) == 5
    for number in range(30):
        back.remove(entry(number).key)
    assert nearest(back, [same])[0] == []
