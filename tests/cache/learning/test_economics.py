"""The books: what is counted, for whom, and what is passed over because of it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from kindcache.cache.entries.entry import usage_of
from kindcache.cache.events import Answered, LookedUp, Served, Trace
from kindcache.cache.learning.economics import MOST_MODELS, Economics
from kindcache.cache.ports import EntryKey
from kindcache.cache.settling import release
from kindcache.policies.eligibility import FULL
from kindcache.policies.prices import Price, Prices
from kindcache.policies.verdict import Bypass, Hit, Miss, Reason, Tier
from tests.cache.small_engine import answer, fill, found, leading, request, running
from tests.conftest import FakeClock

PRICES = Prices((("big-*", Price(10.0, 30.0)),), per_lookup=1e-6)
SEARCHED = Trace(embed_s=0.001, search_s=0.0005, judge_s=0.0015, total_s=0.004)
MISS = Miss(Reason.BELOW_THRESHOLD, "code")


def books(clock: FakeClock, probe: float | None = None) -> Economics:
    return Economics(PRICES, "EUR", clock, probe)


def hit(tier: Tier = Tier.SEMANTIC, reason: Reason = Reason.SEMANTIC) -> Hit:
    return Hit(b"k" * 16, tier, reason, "code", 0.95, 0.9, 1.0, 9.0)


def code(economics: Economics) -> Any:
    summary = economics.summary()
    json.dumps(summary, allow_nan=False)  # the admin surface sends it
    return summary["categories"]["code"]


def answered(total_s: float = 1.0, model: str = "big-1", *, complete: bool = True) -> Answered:
    return Answered(model, 200, 0.1, total_s, "code", complete, 1000, 500)


def losing(economics: Economics) -> None:
    """Let a model answer that is quicker than the cache."""
    for _ in range(30):
        economics.notify(LookedUp(MISS, SEARCHED))
        economics.notify(answered(total_s=0.0))


def test_a_hit_to_the_letter_is_in_no_hit_rate_and_costs_no_lookup(clock: FakeClock) -> None:
    economics = books(clock)
    for _ in range(20):
        economics.notify(LookedUp(hit(Tier.EXACT, Reason.EXACT), Trace(total_s=0.0001)))
        economics.notify(Served("code", 2.0, 150, "big-1", 100, 50))
    known = code(economics)
    assert known["exact_hits"] == 20
    assert known["hit_rate"] == {"value": None, "lower": 0.0, "upper": 1.0, "lookups": 0.0}
    assert known["spent_s"] == 0.0
    assert known["saved_s"] == 40.0
    assert known["saved_tokens"] == 3000
    assert known["saved_money"] == pytest.approx(20 * (100 * 10 + 50 * 30) / 1e6)
    assert known["in_time"]["pays"] == "unknown"


def test_a_category_that_hardly_misses_is_known_by_what_it_serves(clock: FakeClock) -> None:
    economics = books(clock)
    for number in range(20):
        economics.notify(LookedUp(hit() if number else MISS, SEARCHED))
        if number:
            economics.notify(Served("code", 2.001, 150, "big-1", 100, 50))
    economics.notify(answered(total_s=50.0))
    known = code(economics)
    assert known["answer_s"] == pytest.approx(2.001)  # one answer of its own is too little
    assert known["in_time"]["break_even"] == pytest.approx(0.003 / 2.0)
    assert known["in_time"]["pays"] == "yes"
    assert known["answer_money"] == pytest.approx((100 * 10 + 50 * 30) / 1e6)
    assert known["in_money"]["pays"] == "yes"
    for _ in range(8):
        economics.notify(answered(total_s=1.0))
    assert code(economics)["answer_s"] == pytest.approx((50 + 8) / 9)


def test_lookups_that_search_are_counted_with_what_they_took(clock: FakeClock) -> None:
    economics = books(clock)
    for number in range(100):
        economics.notify(LookedUp(hit() if number < 60 else MISS, SEARCHED))
        if number >= 60:
            economics.notify(answered())
    known = code(economics)
    assert (known["semantic_hits"], known["misses"]) == (60, 40)
    assert known["hit_rate"]["value"] == pytest.approx(0.6)
    assert known["hit_rate"]["lower"] == pytest.approx(0.502, abs=1e-3)
    assert known["lookup_s"] == pytest.approx(0.003)
    assert known["fetch_s"] == pytest.approx(0.001)
    assert known["spent_s"] == pytest.approx(0.3)
    assert known["in_time"] == {
        "break_even": pytest.approx(0.003 / 0.999),
        "never": False,
        "pays": "yes",
    }
    assert known["answer_money"] == pytest.approx(0.025)
    assert known["in_money"]["break_even"] == pytest.approx(1e-6 / 0.025)
    assert known["in_money"]["pays"] == "yes"


def test_a_hit_of_words_judged_before_counts_and_costs_nothing(clock: FakeClock) -> None:
    economics = books(clock)
    for _ in range(20):
        economics.notify(LookedUp(hit(), Trace(total_s=0.001)))
    assert code(economics)["hit_rate"]["value"] == 1.0
    assert code(economics)["lookup_s"] == 0.0


@pytest.mark.parametrize(
    "event",
    [
        LookedUp(Miss(Reason.EXACT_ONLY, "code"), Trace(total_s=0.001)),
        LookedUp(Miss(Reason.OVER_WINDOW, "code"), Trace(embed_s=0.001, total_s=0.001)),
        LookedUp(Miss(Reason.PROBED, "code"), Trace(embed_s=0.001, total_s=0.001)),
        LookedUp(Bypass(Reason.CATEGORY, "code"), Trace(total_s=0.001)),
        LookedUp(hit(reason=Reason.STALE_IF_ERROR), SEARCHED),
    ],
    ids=lambda event: event.verdict.reason,
)
def test_what_did_not_search_is_in_no_hit_rate(event: LookedUp, clock: FakeClock) -> None:
    economics = books(clock)
    economics.notify(LookedUp(MISS, SEARCHED))
    economics.notify(event)
    assert code(economics)["hit_rate"]["lookups"] == 1.0


def test_in_shadow_what_would_have_been_a_hit_counts_as_one(clock: FakeClock) -> None:
    economics = books(clock)
    economics.notify(LookedUp(Miss(Reason.SHADOW, "code"), SEARCHED))
    assert code(economics)["hit_rate"]["value"] == 1.0
    assert code(economics)["semantic_hits"] == 0


def test_what_broke_off_says_nothing_of_how_long_the_model_takes(clock: FakeClock) -> None:
    economics = books(clock)
    for _ in range(20):
        economics.notify(LookedUp(MISS, SEARCHED))
        economics.notify(answered(total_s=9.0, complete=False))
    assert code(economics)["answer_s"] is None
    assert code(economics)["in_time"]["pays"] == "unknown"


def test_a_model_as_quick_as_the_cache_never_pays(clock: FakeClock) -> None:
    economics = books(clock)
    losing(economics)
    assert code(economics)["in_time"] == {"break_even": None, "never": True, "pays": "no"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, 1e9])
def test_absurd_times_change_no_total(bad: float, clock: FakeClock) -> None:
    economics = books(clock)
    economics.notify(Served("code", bad, 10))
    economics.notify(LookedUp(MISS, Trace(embed_s=bad, search_s=0.001)))
    economics.notify(answered(total_s=bad))
    assert code(economics)["saved_s"] == 0.0
    assert code(economics)["spent_s"] == 0.0


def test_without_a_price_no_money_is_said_to_be_saved(clock: FakeClock) -> None:
    economics = books(clock)
    economics.notify(Served("code", 1.0, 150, "small-1", 100, 50))
    assert code(economics)["saved_money"] is None
    assert code(economics)["unpriced_hits"] == 1
    economics.notify(Served("code", 1.0, 0, "big-1"))  # its tokens are not known
    assert code(economics)["unpriced_hits"] == 2
    for number in range(2 * MOST_MODELS):  # names are the callers'
        economics.notify(Served("code", 1.0, 150, f"big-{number}", 100, 50))
    assert code(economics)["saved_money"] == pytest.approx(2 * MOST_MODELS * 0.0025)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (0, 0, 0)),
        ({}, (0, 0, 0)),
        ({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}, (7, 3, 10)),
        ({"prompt_tokens": "7", "completion_tokens": None}, (0, 0, 0)),
        ({"prompt_tokens": -7, "completion_tokens": True, "total_tokens": -4}, (0, 0, 0)),
        ({"prompt_tokens": 1e30, "completion_tokens": 1 << 62}, (0, 0, 0)),
    ],
)
def test_only_sensible_usage_counts(
    usage: dict[str, Any] | None, tokens: tuple[int, int, int]
) -> None:
    assert usage_of(answer(usage=usage)) == tokens


def test_nothing_is_passed_over_unless_asked_for(clock: FakeClock) -> None:
    economics = books(clock)
    losing(economics)
    assert not economics.passes_over("code", EntryKey(b"\xff" * 16))
    assert not code(economics)["probed"]


def test_of_a_category_that_does_not_pay_a_sample_is_looked_up(clock: FakeClock) -> None:
    economics = books(clock, probe=0.25)
    keys = [EntryKey(bytes([number]) + bytes([number]) * 15) for number in range(256)]
    assert not any(economics.passes_over("code", key) for key in keys)  # nothing is known yet
    losing(economics)
    assert sum(economics.passes_over("code", key) for key in keys) == 192
    assert not any(economics.passes_over("news", key) for key in keys)
    assert code(economics)["probed"]


def test_it_is_looked_up_again_once_what_was_learnt_has_faded(clock: FakeClock) -> None:
    economics = books(clock, probe=0.25)
    losing(economics)
    clock.advance(30 * 86400.0)
    assert not economics.passes_over("code", EntryKey(b"\xff" * 16))


def test_beside_a_sample_hits_of_words_judged_before_do_not_count(clock: FakeClock) -> None:
    economics = books(clock, probe=0.25)
    losing(economics)
    for _ in range(100):
        economics.notify(LookedUp(hit(), Trace(total_s=0.001)))
    assert code(economics)["hit_rate"]["value"] == 0.0
    assert code(economics)["semantic_hits"] == 100
    assert code(economics)["probed"]


def test_a_sample_of_all_passes_nothing_over(clock: FakeClock) -> None:
    economics = books(clock, probe=1.0)
    losing(economics)
    assert not economics.passes_over("code", EntryKey(b"\xff" * 16))
    assert not code(economics)["probed"]


@pytest.mark.anyio
async def test_the_engine_passes_over_the_search_and_keeps_what_later_searches_find(
    clock: FakeClock,
) -> None:
    async with running(clock) as at:
        economics = at.engine.economics = books(clock, probe=1e-12)
        losing(economics)
        asked = request("show the code for sorting a list")
        await fill(at.engine, asked, "sorted(list)")
        assert (await found(at.engine, asked)).hit.tier is Tier.EXACT
        other = request("please show the code for sorting a list")
        passed = await leading(at.engine, other)
        assert passed.miss.reason is Reason.PROBED
        assert passed.trace.search_s == 0.0
        rescued = await at.engine.by_meaning(
            passed.ask,
            FULL,
            "code",
            passed.vector,
            None,
            Trace(),
            at.engine.policy.while_failing(),
        )
        assert not isinstance(rescued, Miss)  # a failing model is no time to save a search
        release(at.engine, passed)
        clock.advance(30 * 86400.0)
        at.engine.economics = None
        await fill(at.engine, asked, "sorted(list)")
        assert (await found(at.engine, other)).hit.tier is Tier.SEMANTIC
