"""Observations become bars; bad news at once, good news at the next tick."""

from __future__ import annotations

from typing import Any

import pytest

from kindcache.cache.events import BarMoved, Failed, LookedUp, Trace, Verified
from kindcache.cache.learning import evidence as evidence_module
from kindcache.cache.learning import ledger as ledger_module
from kindcache.cache.learning.evidence import Evidence
from kindcache.policies.calibration import NOTHING
from kindcache.policies.observation import Observation, Source
from kindcache.policies.policy import Policy
from kindcache.policies.verdict import Hit, Miss, Reason, Tier
from tests.conftest import FakeClock

from ..small_engine import Seen, TroubledStore, down, policy

pytestmark = pytest.mark.anyio

DAY_S = 86400.0
STRICT = 0.97
TEXT = """
defaults: {min_probability: 0.97}
categories:
  code: {match: {pattern: code}, max_error_rate: 2%}
  news: {match: {pattern: news}, max_error_rate: 2%}
  letter: {match: {pattern: letter}}
"""


class Process:
    """One process that collects evidence over a store it may share."""

    def __init__(
        self,
        store: TroubledStore,
        clock: FakeClock,
        text: str = TEXT,
        of: str = "scorer",
        *,
        scored: bool = True,
    ) -> None:
        self.policy: Policy = policy(text)
        self.seen = Seen()
        self.evidence = Evidence(
            self.policy, store, self.seen, clock, 30 * DAY_S, lambda: of, scored=scored
        )

    def note(
        self,
        times: int = 1,
        *,
        right: bool = True,
        category: str = "code",
        chance: float = 0.98,
        source: Source = Source.SHADOW,
        served: bool = False,
    ) -> None:
        for _ in range(times):
            self.evidence.note(Observation(category, chance, right, source, served))

    def check(self, times: int = 1, *, right: bool = True, category: str = "code") -> None:
        self.note(times, right=right, category=category, source=Source.CHECK, served=True)

    def hits(self, times: int, *, chance: float | None = 0.98, tier: Tier = Tier.SEMANTIC) -> None:
        hit = Hit(b"", tier, Reason(tier), "code", 0.9, 0.7, 0.0, 60.0, chance)
        for _ in range(times):
            self.evidence.notify(LookedUp(hit, Trace()))

    def summary(self, category: str = "code") -> dict[str, Any]:
        return self.evidence.summary()[category]

    def moves(self) -> list[tuple[str, str]]:
        return [(event.category, event.why) for event in self.seen.of(BarMoved)]


@pytest.fixture
def store(clock: FakeClock) -> TroubledStore:
    return TroubledStore(clock)


@pytest.fixture
def process(store: TroubledStore, clock: FakeClock) -> Process:
    return Process(store, clock)


async def test_nothing_known_leaves_the_strict_bar(process: Process) -> None:
    await process.evidence.keep()
    assert process.policy.bar("code") == STRICT
    assert process.moves() == []
    assert process.summary() == {
        "bar": STRICT,
        "strict_bar": STRICT,
        "max_error_rate": 0.02,
        "certified": False,
        "alarm": False,
        "hits": 0,
        "observations": {},
        "precision": None,
    }


async def test_enough_right_ones_lower_the_bar_at_the_next_tick(process: Process) -> None:
    process.note(300, chance=0.9)
    assert process.policy.bar("code") == STRICT
    await process.evidence.keep()
    assert process.policy.bar("code") < 0.9
    assert process.summary()["certified"]
    assert process.summary("letter")["bar"] == STRICT  # it has no rate, and does not move
    (moved, _) = process.seen.of(BarMoved)
    assert (moved.category, moved.why) == ("code", "certified")
    assert moved.bar == process.policy.bar("code")


async def test_wrong_hits_raise_the_bar_at_once(process: Process) -> None:
    process.note(300, chance=0.9)
    await process.evidence.keep()
    process.check(3, right=False)
    assert process.policy.bar("code") == NOTHING
    assert process.policy.bar("news") < 0.9
    assert process.summary()["alarm"]
    assert not process.summary()["certified"]
    assert process.moves()[-1] == ("code", "alarm")


async def test_wrong_hits_that_only_a_low_bar_served_bring_the_strict_one_back(
    process: Process,
) -> None:
    process.note(600, chance=0.9)
    await process.evidence.keep()
    process.note(4, right=False, chance=0.91, source=Source.CHECK, served=True)
    assert process.policy.bar("code") == STRICT
    assert process.summary()["alarm"]


async def test_an_alarm_ends_when_it_is_long_ago(process: Process, clock: FakeClock) -> None:
    await process.evidence.keep()
    process.check(200)
    process.check(11, right=False)
    await process.evidence.keep()
    assert process.policy.bar("code") == NOTHING
    clock.advance(3 * DAY_S)
    await process.evidence.keep()
    assert process.policy.bar("code") == NOTHING
    clock.advance(40 * DAY_S)
    await process.evidence.keep()
    assert process.policy.bar("code") == STRICT
    assert not process.summary()["alarm"]
    assert process.moves() == [("code", "alarm"), ("code", "strict")]


async def test_few_reports_among_many_hits_raise_no_alarm(process: Process) -> None:
    await process.evidence.keep()
    process.hits(500)
    process.note(10, right=False, source=Source.FEEDBACK, served=True)
    assert process.policy.bar("code") == STRICT
    process.note(20, right=False, source=Source.FEEDBACK, served=True)
    assert process.policy.bar("code") == NOTHING


async def test_praise_opens_nothing(process: Process) -> None:
    process.note(2000, chance=0.9, source=Source.FEEDBACK, served=True)
    await process.evidence.keep()
    assert process.policy.bar("code") == STRICT
    assert process.summary()["observations"] == {"feedback": {"right": 2000, "wrong": 0}}
    assert process.summary()["precision"] is None


async def test_precision_is_of_served_hits_that_were_checked(process: Process) -> None:
    process.check(9)
    process.check(1, right=False)
    process.note(50)  # watched only
    process.note(50, right=False, source=Source.FEEDBACK, served=True)
    summary = process.summary()
    assert summary["precision"] == {
        "value": 0.9,
        "lower": pytest.approx(0.596, abs=0.001),
        "upper": pytest.approx(0.982, abs=0.001),
        "observed": 10,
    }
    assert summary["observations"] == {
        "shadow": {"right": 50, "wrong": 0},
        "check": {"right": 9, "wrong": 1},
        "feedback": {"right": 0, "wrong": 50},
    }


async def test_only_hits_by_meaning_are_counted(process: Process) -> None:
    process.hits(3)
    process.hits(5, tier=Tier.EXACT)
    process.evidence.notify(LookedUp(Miss(Reason.NEW, "code"), Trace()))
    assert process.summary()["hits"] == 3


async def test_without_a_scorer_evidence_can_only_close(
    store: TroubledStore, clock: FakeClock
) -> None:
    text = TEXT.replace("min_probability: 0.97", "similarity_threshold: 0.8")
    process = Process(store, clock, text, scored=False)
    process.note(2000, chance=0.85)
    process.hits(500, chance=None)
    await process.evidence.keep()
    assert process.summary()["bar"] == process.summary()["strict_bar"] == 0.8
    assert process.moves() == []
    process.note(30, right=False, chance=0.85, source=Source.FEEDBACK, served=True)
    assert process.policy.bar("code") == process.summary()["bar"] == NOTHING
    assert process.policy.bar("news") <= 1.0


async def test_each_observation_is_an_event(process: Process) -> None:
    process.check(1, right=False)
    process.note(1, category="news")
    assert process.seen.of(Verified) == [
        Verified("code", Source.CHECK, correct=False),
        Verified("news", Source.SHADOW, correct=True),
    ]


async def test_a_restart_knows_what_was_learnt(
    process: Process, store: TroubledStore, clock: FakeClock
) -> None:
    process.note(300, chance=0.9)
    process.hits(3)
    await process.evidence.keep()
    await process.evidence.flush()
    after = Process(store, clock)
    await after.evidence.keep()
    assert after.policy.bar("code") == process.policy.bar("code") < 0.9
    assert after.summary() == process.summary()


async def test_an_alarm_survives_a_restart(
    process: Process, store: TroubledStore, clock: FakeClock
) -> None:
    process.check(3, right=False)
    await process.evidence.keep()
    after = Process(store, clock)
    await after.evidence.keep()
    assert after.policy.bar("code") == NOTHING


async def test_processes_learn_from_each_other(
    process: Process, store: TroubledStore, clock: FakeClock
) -> None:
    other = Process(store, clock)
    await process.evidence.keep()
    await other.evidence.keep()
    for one in (process, other):
        one.note(100, chance=0.9)
        await one.evidence.keep()
        assert one.policy.bar("code") == STRICT  # neither knows enough
    for _ in range(evidence_module.READ_EVERY_TICKS):
        await process.evidence.keep()
        await other.evidence.keep()
    assert process.policy.bar("code") == other.policy.bar("code") < 0.9
    assert process.summary()["observations"] == {"shadow": {"right": 200, "wrong": 0}}


async def test_evidence_of_another_scorer_changes_nothing(
    process: Process, store: TroubledStore, clock: FakeClock
) -> None:
    process.note(300, chance=0.9)
    await process.evidence.keep()
    other = Process(store, clock, of="another scorer")
    await other.evidence.keep()
    assert other.policy.bar("code") == STRICT
    assert other.summary()["observations"] == {}


async def test_a_category_that_is_gone_is_kept_and_not_shown(
    process: Process, store: TroubledStore, clock: FakeClock
) -> None:
    process.note(300, chance=0.9)
    await process.evidence.keep()
    without = Process(store, clock, text="defaults: {min_probability: 0.97, max_error_rate: 2%}")
    without.note(1)  # of a hit from before
    await without.evidence.keep()
    assert list(without.evidence.summary()) == ["default"]
    assert without.policy.bar("default") == STRICT
    back = Process(store, clock)
    await back.evidence.keep()
    assert back.summary()["observations"]["shadow"]["right"] == 301


async def test_old_days_leave_the_window(
    process: Process, store: TroubledStore, clock: FakeClock
) -> None:
    process.note(300, chance=0.9)
    await process.evidence.keep()
    clock.advance(29 * DAY_S)
    await process.evidence.keep()
    assert process.policy.bar("code") < 0.9
    clock.advance(2 * DAY_S)
    for _ in range(evidence_module.READ_EVERY_TICKS):
        await process.evidence.keep()
    assert process.policy.bar("code") == STRICT
    assert process.summary()["observations"] == {}
    assert await store.inner.counts(ledger_module.NAME) == {}


async def test_while_the_store_fails_bars_follow_and_nothing_is_lost(
    process: Process, store: TroubledStore, clock: FakeClock
) -> None:
    store.troubles = {"counts": down(), "count": down()}
    process.note(300, chance=0.9)
    await process.evidence.keep()
    assert process.policy.bar("code") < 0.9
    assert process.seen.of(Failed) == [Failed("evidence", "StoreError")]
    store.troubles = {"count": down()}
    process.note(10)
    await process.evidence.keep()
    store.troubles.clear()
    await process.evidence.keep()
    after = Process(store, clock)
    await after.evidence.keep()
    assert after.summary()["observations"] == {"shadow": {"right": 310, "wrong": 0}}


async def test_a_quiet_engine_does_not_write(process: Process, store: TroubledStore) -> None:
    for _ in range(2 * evidence_module.READ_EVERY_TICKS):
        await process.evidence.keep()
    assert set(store.calls) == {"counts"}
    assert len(store.calls) == 2


async def test_hits_alone_are_written_now_and_then(process: Process, store: TroubledStore) -> None:
    for _ in range(2 * evidence_module.HITS_EVERY_TICKS):
        process.hits(1)
        await process.evidence.keep()
    assert store.calls.count("count") == 2
    process.check()
    await process.evidence.keep()
    assert store.calls.count("count") == 3


async def test_what_cannot_be_kept_is_counted_as_a_failure(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "MOST_WAITING", 1)
    process.check()
    process.check(right=False)
    assert process.seen.of(Failed) == [Failed("evidence", "Backlog")]
    assert process.seen.of(Verified) == [Verified("code", Source.CHECK, correct=True)]


@pytest.mark.parametrize("chance", [float("nan"), -1.0, 7.0, "no number"])
async def test_noting_never_raises(process: Process, chance: Any) -> None:
    process.note(3, right=False, chance=chance, source=Source.CHECK, served=True)
    await process.evidence.keep()
