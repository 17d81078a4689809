"""Which models fail just now."""

from __future__ import annotations

from kindcache.cache.outages import MODELS, PAUSE_S, Outages
from kindcache.cache.ports import EntryKey
from tests.conftest import FakeClock


def key(number: int) -> EntryKey:
    return EntryKey(str(number).encode())


def fail(outages: Outages, model: str, number: int) -> None:
    outages.settle(model, key(number), outages.enter(model, key(number)), failed=True)


def test_one_failure_speaks_for_the_same_question_alone_and_not_for_long(
    clock: FakeClock,
) -> None:
    outages = Outages(clock)
    fail(outages, "m", 1)
    assert outages.enter("m", key(1)) is None
    assert outages.enter("m", key(2)) is not None
    clock.advance(PAUSE_S)
    assert outages.enter("m", key(1)) is not None


def test_several_in_a_row_speak_for_the_model_until_a_probe_succeeds(clock: FakeClock) -> None:
    outages = Outages(clock)
    for number in range(5):
        fail(outages, "m", number)
    assert outages.enter("m", key(9)) is None
    assert outages.enter("another", key(9)) is not None
    clock.advance(PAUSE_S)
    probe = outages.enter("m", key(9))
    assert probe is not None
    assert outages.enter("m", key(8)) is None
    outages.settle("m", key(9), probe, failed=False)
    assert outages.enter("m", key(8)) is not None


def test_a_probe_whose_caller_left_makes_way_for_the_next(clock: FakeClock) -> None:
    outages = Outages(clock)
    for number in range(5):
        fail(outages, "m", number)
    clock.advance(PAUSE_S)
    probe = outages.enter("m", key(9))
    outages.abandon("m", probe)
    assert outages.enter("m", key(9)) is not None


def test_an_answer_ends_the_failure_of_its_question(clock: FakeClock) -> None:
    outages = Outages(clock)
    fail(outages, "m", 1)
    outages.settle("m", key(1), None, failed=False)
    assert outages.enter("m", key(1)) is not None


def test_many_models_are_forgotten_the_longest_unused_first(clock: FakeClock) -> None:
    outages = Outages(clock)
    for number in range(5):
        fail(outages, "old", number)
    for number in range(MODELS):
        outages.enter(f"model {number}", key(9))
    assert outages.enter("old", key(9)) is not None
