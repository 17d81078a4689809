"""The loads of the models behind one upstream, told by calls on a clock that a test moves."""

from __future__ import annotations

import math

import pytest

from kindcache.cache.events import LoadMoved
from kindcache.cache.loads import MOST_MODELS, Loads, Ongoing
from kindcache.policies.load import Limits, Queue

from .small_engine import Seen


class World:
    """A model that takes as long as a test says, and a controller stepped once a second."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now_s = 100.0
        self.seen = Seen()
        self.loads = Loads(limits or Limits(), self.seen, lambda: self.now_s)

    def began(self, model: str = "m", *, streamed: bool = True) -> Ongoing:
        call = self.loads.began(model, streamed=streamed)
        assert call is not None
        return call

    def seconds(
        self, count: int, first_s: float, total_s: float, *, size: int = 1000, model: str = "m"
    ) -> float:
        """Let a call a second take so long; return the factor."""
        factor = 0.0
        for _ in range(count):
            began_s = self.now_s
            call = self.began(model)
            self.now_s = began_s + first_s
            self.loads.first_token(call)
            self.now_s = began_s + total_s
            self.loads.answered(call, 200, size)
            self.now_s = began_s + 1.0  # the next one begins while this one is on its way
            factor = self.loads.step()[model]
        return factor


def test_slow_first_tokens_are_load_and_it_ends_with_them() -> None:
    world = World()
    assert world.seconds(60, 0.2, 0.9) == 0.0
    assert world.seconds(60, 2.0, 3.0) > 0.9
    assert world.seconds(200, 0.2, 0.9) == 0.0
    moved = world.seen.of(LoadMoved)
    assert [event.factor > 0 for event in moved] == [True, False]
    assert moved[0].model == "m"


def test_long_answers_are_no_load() -> None:
    world = World()
    for _ in range(3):
        world.seconds(40, 0.2, 0.5, size=500)
        world.seconds(40, 0.2, 8.0, size=16_000)
    assert world.loads.figures()["m"].pressure == 0.0


def test_a_slow_model_is_at_rest_as_long_as_nobody_knows_better() -> None:
    assert World().seconds(120, 9.0, 20.0) == 0.0


def test_calls_that_wait_for_their_first_token_are_load_before_any_ends() -> None:
    world = World()
    world.seconds(60, 0.2, 0.9)
    for _ in range(5):
        world.began()
    for _ in range(30):
        world.now_s += 1.0
        factor = world.loads.step()["m"]
    assert factor > 0.9


def test_one_call_that_hangs_is_no_queue() -> None:
    world = World()
    world.seconds(60, 0.2, 0.9)
    world.began()
    assert world.seconds(60, 0.2, 0.9) == 0.0


@pytest.mark.parametrize("status", [429, 503, 500])
def test_refusals_are_load(status: int) -> None:
    world = World()
    world.seconds(60, 0.2, 0.9)
    for _ in range(30):
        world.loads.answered(world.began(), status, 10)
        world.now_s += 1.0
        factor = world.loads.step()["m"]
    assert factor > 0.9


@pytest.mark.parametrize("status", [400, 401, 404])
def test_what_the_caller_did_wrong_is_no_load_and_teaches_nothing(status: int) -> None:
    world = World()
    for _ in range(90):
        world.loads.answered(world.began(), status, 10)
        world.now_s += 1.0
        assert world.loads.step()["m"] == 0.0
    assert world.loads.figures() == {}


def test_one_refusal_among_many_answers_is_no_load() -> None:
    world = World()
    world.seconds(60, 0.2, 0.9)
    world.loads.answered(world.began(), 429, 10, retry_after_s=30.0)
    assert world.seconds(60, 0.2, 0.9) == 0.0


def refusals(world: World, retry_after_s: float | None) -> float:
    """Let the model refuse for half a minute, then hear nothing for another; return the factor."""
    for _ in range(30):
        world.loads.answered(world.began(), 429, 10, retry_after_s=retry_after_s)
        world.now_s += 1.0
        world.loads.step()
    for _ in range(30):
        world.now_s += 1.0
        factor = world.loads.step()["m"]
    return factor


def test_retry_after_keeps_the_load_up_while_nothing_is_heard() -> None:
    assert refusals(World(), 60.0) == 1.0
    assert refusals(World(), None) < 1.0


@pytest.mark.parametrize("bad", [math.nan, -5.0, math.inf])
def test_a_retry_after_that_is_none_changes_nothing(bad: float) -> None:
    assert refusals(World(), bad) == refusals(World(), None)


def test_calls_in_flight_count_where_their_bound_is_known() -> None:
    world = World(Limits(in_flight=4))
    calls = [world.began(streamed=False) for _ in range(4)]
    for _ in range(30):
        world.now_s += 1.0
        factor = world.loads.step()["m"]
    assert factor > 0.9
    for call in calls:
        world.loads.left(call)
        world.loads.left(call)  # twice is once
    for _ in range(150):
        world.now_s += 1.0
        factor = world.loads.step()["m"]
    assert factor == 0.0


def test_the_servers_own_queue_counts_as_long_as_it_is_fresh() -> None:
    world = World()
    world.seconds(1, 0.2, 0.9)
    for _ in range(30):
        world.loads.heard({"served-name": Queue(8, 8)})
        world.now_s += 1.0
        factor = world.loads.step()["m"]
    assert factor > 0.9
    for _ in range(150):
        world.now_s += 1.0
        factor = world.loads.step()["m"]
    assert factor == 0.0


def test_of_several_models_each_has_its_own_queue() -> None:
    world = World()
    for _ in range(30):
        world.seconds(1, 0.2, 0.9, model="a")
        world.seconds(1, 0.2, 0.9, model="b")
        world.loads.heard({"a": Queue(8, 8), "c": Queue(0, 8)})
        factors = world.loads.step()
    assert factors["a"] > 0.5
    assert factors["b"] == 0.0


def test_one_model_says_nothing_of_another() -> None:
    world = World()
    world.seconds(60, 0.2, 0.9, model="a")
    world.seconds(60, 0.2, 0.9, model="b")
    assert world.seconds(60, 3.0, 4.0, model="b") > 0.9
    assert world.loads.step()["a"] == 0.0


def test_the_client_that_reads_slowly_is_no_load() -> None:
    world = World()
    world.seconds(60, 0.2, 0.5)
    for _ in range(60):
        call = world.began()
        world.now_s += 0.2
        world.loads.first_token(call)
        world.now_s += 0.8
        world.loads.answered(call, 200, 1000, idle_s=0.5)
        world.loads.step()
    assert world.loads.figures()["m"].pressure == 0.0


def test_names_that_callers_make_up_do_not_fill_the_memory() -> None:
    world = World()
    for number in range(10 * MOST_MODELS):
        world.loads.left(world.began(f"made up {number}"))
    assert len(world.loads.step()) <= MOST_MODELS
    assert world.loads.figures() == {}
    assert world.loads.began("x" * 1000, streamed=True) is None
    busy = [world.began(f"busy {number}") for number in range(MOST_MODELS)]
    assert world.loads.began("one more", streamed=True) is None
    world.loads.left(busy[0])
    assert world.loads.began("one more", streamed=True) is not None


def test_a_model_that_nobody_asks_is_forgotten() -> None:
    world = World()
    world.seconds(2, 0.2, 0.9)
    world.now_s += 7200.0
    world.loads.step()
    assert world.loads.figures() == {}


def test_a_clock_that_jumps_is_worth_a_step_and_is_forgotten() -> None:
    world = World()
    world.seconds(60, 0.2, 0.9)
    for jump_s in (-1e6, 1e6, -50.0, 86400.0):
        before = world.loads.step()["m"]
        call = world.began()
        world.now_s += jump_s
        world.loads.first_token(call)
        world.loads.answered(call, 200, 1000)
        assert world.loads.step()["m"] <= before + 0.25 + 1e-9
    assert world.seconds(200, 0.2, 0.9) == 0.0
