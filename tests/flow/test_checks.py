"""Checking served hits: in the background, for the caller, and with consequences."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from kindcache.adapters.build import Service, build
from kindcache.adapters.middleware import KindcacheMiddleware
from kindcache.adapters.upstream.app import UpstreamApp
from kindcache.cache.entries.entry import decode_record
from kindcache.cache.ports import EntryKey
from kindcache.cache.removing.invalidating import erase, invalidate
from kindcache.cache.removing.subject import Subject
from kindcache.config.load import loads
from kindcache.policies.selecting import Selector
from tests.conftest import FakeClock
from tests.drivers import (
    AsgiDriver,
    Exchange,
    Gate,
    Reply,
    ScriptedUpstream,
    Seen,
    chat_reply,
    error_reply,
)
from tests.drivers.cached import KEY, SECRET

pytestmark = pytest.mark.anyio

ASKED = "What is the capital city of France?"
REWORDED = "What is the capital city of France"
AGAIN = "what is the capital city of France!"
DAY_S = 86400.0
OTHER = {"authorization": "Bearer bob"}
BUSY = ("How tall is the Eiffel tower", "Who wrote the novel Dracula")  # one for each worker


def checking(
    upstream: ScriptedUpstream,
    *,
    clock: Callable[[], float] = time.time,
    chance: Callable[[], float] = lambda: 0.0,
    **evidence: Any,
) -> KindcacheMiddleware:
    """Return a cache that checks every hit by meaning, unless ``evidence`` says otherwise."""
    values = {
        "store": {"url": "memory://"},
        "embedder": {"runtime": "hashing"},
        "judge": {"scorer": "none"},
        "scope": {"revalidate": "30d"},
        "defaults": {"similarity_threshold": 0.8, "ttl": "30d"},
        "evidence": {"compare": "similarity", "verify_share": "100%"} | evidence,
    }

    def make(settings: Any, app: Any, name: str) -> Service:
        return build(settings, app, upstream=name, environ=SECRET, clock=clock, chance=chance)

    app = UpstreamApp(upstream.base_url, timeout_s=5.0, connect_timeout_s=2.0)
    return KindcacheMiddleware(app, loads(yaml.safe_dump(values), "test.yaml"), build=make)


def metrics(app: KindcacheMiddleware) -> str:
    assert app.service is not None
    return app.service.metrics.exposition().decode()


def verified(app: KindcacheMiddleware, verdict: str, number: int = 1) -> bool:
    labels = f'category="default",source="check",verdict="{verdict}"'
    return f"kindcache_hits_verified_total{{{labels}}} {number}.0" in metrics(app)


def not_checked(app: KindcacheMiddleware, why: str) -> bool:
    return f'kindcache_not_compared_total{{source="check",why="{why}"}} 1.0' in metrics(app)


async def settled(app: KindcacheMiddleware) -> None:
    assert app.service is not None
    for work in app.service.lifecycle.background:
        await work.drain()


def checks(upstream: ScriptedUpstream) -> list[Seen]:
    return [seen for seen in upstream.requests if seen.header("x-kindcache-origin") == "check"]


def answers(told: str, checked: str, *, gate: Gate | None = None) -> Callable[[Seen], Reply]:
    """Answer callers by ``told`` and checks by ``checked``, the latter once ``gate`` is open."""

    def script(seen: Seen) -> Reply:
        if seen.header("x-kindcache-origin") == "check":
            return chat_reply(seen, checked, before=() if gate is None else (gate,))
        return chat_reply(seen, told)

    return script


async def hit(driver: AsgiDriver, prompt: str = REWORDED, **fields: Any) -> Exchange:
    """Fill with one wording, and ask another."""
    await driver.chat(ASKED, headers=KEY)
    exchange = await driver.chat(prompt, headers=KEY, **fields)
    assert exchange.header("x-cache-tier") == "semantic"
    return exchange


async def test_the_check_repeats_the_callers_request_whole_and_marked(
    upstream: ScriptedUpstream,
) -> None:
    upstream.script = answers("Paris.", "Paris.")
    app = checking(upstream)
    async with AsgiDriver(app) as driver:
        for stream in (False, True):  # the shape of the answer is part of no key
            await hit(driver, stream=stream, stream_options=None, cache={"ttl": 60})
            await settled(app)
        assert verified(app, "right", 2)
        assert "kindcache_own_calls_left 198.0" in metrics(app)
        kept = await driver.chat(REWORDED, headers=KEY)
        assert kept.header("x-cache-tier") == "semantic"  # a right hit changes nothing
    for call in checks(upstream)[:2]:
        assert call.header("authorization") == "Bearer alice"
        assert call.path == "/v1/chat/completions"
        assert call.prompt == REWORDED
        assert not {"stream", "stream_options", "cache"} & call.json().keys()


async def test_a_wrong_hit_is_not_served_again_and_the_fresh_answer_takes_its_place(
    upstream: ScriptedUpstream,
) -> None:
    upstream.script = answers("Paris.", "Take the bus to the station at noon tomorrow.")
    app = checking(upstream)
    async with AsgiDriver(app) as driver:
        wrong = await hit(driver)
        await settled(app)
        assert verified(app, "wrong")
        own = await driver.chat(REWORDED, headers=KEY)
        # Without it, the old entry is near again, and stays blocked.
        key = EntryKey(bytes.fromhex(own.header("x-cache-entry") or ""))
        assert app.service is not None
        app.service.engine.memory.remove([key], "test")
        await app.service.engine.memory.writer.drain()
        blocked = await driver.chat(AGAIN, headers=KEY)
    assert wrong.json()["choices"][0]["message"]["content"] == "Paris."
    assert own.header("x-cache-tier") == "exact"
    assert own.json()["choices"][0]["message"]["content"].startswith("Take the bus")
    assert blocked.header("x-cache-reason") == "blocked"


@pytest.mark.parametrize("when", ["while it waits", "while the model answers"])
async def test_what_was_erased_meanwhile_is_not_stored_by_a_check(
    upstream: ScriptedUpstream, clock: FakeClock, when: str
) -> None:
    gate = Gate("the check's answer")
    upstream.script = answers("Paris.", "Take the bus to the station at noon.", gate=gate)
    app = checking(upstream, clock=clock)
    async with AsgiDriver(app) as driver:
        assert app.service is not None
        engine, asked = app.service.engine, upstream.count
        waiting = () if when == "while the model answers" else BUSY
        for prompt in waiting:
            await driver.chat(f"{prompt}?", headers=OTHER)
            busy = await driver.chat(prompt, headers=OTHER)
            assert busy.header("x-cache-tier") == "semantic"
        if waiting:
            await upstream.request(asked + 2 * len(waiting) - 1)  # all workers wait for the model
        await hit(driver)
        clock.advance(1)
        if not waiting:
            await upstream.request(asked + 1)
        principal = engine.identity.scoping.principal([(b"authorization", b"Bearer alice")])
        assert principal is not None
        await erase(engine, Subject(principal))
        clock.advance(1)
        gate.open()
        await settled(app)
        await engine.memory.writer.drain()
        kept = [decode_record(record).prompt async for _, record in engine.store.records()]
        assert not {ASKED, REWORDED} & set(kept)
    assert len([call for call in checks(upstream) if call.prompt == REWORDED]) == (not waiting)


async def test_a_check_that_asked_before_an_invalidation_stores_nothing_that_it_names(
    upstream: ScriptedUpstream,
) -> None:
    gate = Gate("the check's answer")
    upstream.script = answers("Paris.", "Take the bus to the station at noon.", gate=gate)
    app = checking(upstream)
    async with AsgiDriver(app) as driver:
        assert app.service is not None
        engine = app.service.engine
        await hit(driver)
        await upstream.request(1)
        # It names the wording that was asked, and not the one that is stored.
        await invalidate(engine, Selector(pattern=re.escape(REWORDED) + "$"), None)
        gate.open()
        await settled(app)
        await engine.memory.writer.drain()
        kept = [decode_record(record).prompt async for _, record in engine.store.records()]
    assert kept == [ASKED]


async def test_the_caller_neither_waits_for_the_check_nor_ends_it_by_leaving(
    upstream: ScriptedUpstream,
) -> None:
    gate = Gate("the check's answer")
    upstream.script = answers("Paris.", "Paris.", gate=gate)
    app = checking(upstream)
    async with AsgiDriver(app) as driver:
        served = await hit(driver)
        check = await upstream.request(1)
        served.disconnect()
        assert served.complete
        assert not verified(app, "right")
        gate.open()
        await settled(app)
        assert verified(app, "right")
    assert not check.disconnected.is_open


async def test_a_shutdown_ends_checks_and_leaves_no_task(upstream: ScriptedUpstream) -> None:
    before = asyncio.all_tasks()
    gate = Gate("never")
    upstream.script = answers("Paris.", "Paris.", gate=gate)
    app = checking(upstream)
    async with AsgiDriver(app) as driver:
        await hit(driver)
        for _ in range(5):  # more than are made at a time
            await driver.chat(REWORDED, headers=KEY)
        check = await upstream.request(1)
    await check.disconnected.passed()
    async with asyncio.timeout(10):
        while asyncio.all_tasks() != before:
            await asyncio.sleep(0)
    assert len(checks(upstream)) <= 2


async def test_the_daily_budget_holds_and_a_new_day_brings_a_new_one(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.script = answers("Paris.", "Paris.")
    app = checking(upstream, clock=clock, verify_per_day=2)
    async with AsgiDriver(app) as driver:
        await hit(driver)
        await settled(app)
        for prompt in (AGAIN, REWORDED):
            await driver.chat(prompt, headers=KEY)
            await settled(app)
        assert len(checks(upstream)) == 2
        assert not_checked(app, "unpaid")
        clock.advance(DAY_S)
        await driver.chat(AGAIN, headers=KEY)
        await settled(app)
    assert len(checks(upstream)) == 3


async def test_only_the_share_that_is_drawn_is_checked(upstream: ScriptedUpstream) -> None:
    upstream.script = answers("Paris.", "Paris.")
    draws = iter([0.25, 0.1, 0.9])
    app = checking(upstream, chance=lambda: next(draws), verify_share="25%")
    async with AsgiDriver(app) as driver:
        await hit(driver)
        await driver.chat(REWORDED, headers=KEY)
        await driver.chat(ASKED, headers=KEY)  # to the letter: not even drawn
        await driver.chat(REWORDED, headers=KEY)
        await settled(app)
    assert len(checks(upstream)) == 1


async def test_who_forbids_storing_is_not_checked(upstream: ScriptedUpstream) -> None:
    app = checking(upstream)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        served = await driver.chat(REWORDED, headers=KEY | {"cache-control": "no-store"})
        await settled(app)
    assert served.header("x-cache-tier") == "semantic"
    assert checks(upstream) == []


@pytest.mark.parametrize("status", [429, 500])
async def test_a_check_that_fails_is_counted_and_changes_nothing(
    status: int, upstream: ScriptedUpstream
) -> None:
    app = checking(upstream)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        upstream.enqueue(error_reply(status))
        for _ in range(2):
            served = await driver.chat(REWORDED, headers=KEY)
            await settled(app)
            assert served.header("x-cache-tier") == "semantic"
        assert not_checked(app, "failed")


async def test_an_upstream_that_is_away_is_counted_and_changes_nothing() -> None:
    with ScriptedUpstream() as upstream:
        app = checking(upstream)
        driver = AsgiDriver(app)
        await driver.chat(ASKED, headers=KEY)
    served = await driver.chat(REWORDED, headers=KEY)
    await settled(app)
    assert served.header("x-cache-tier") == "semantic"
    assert not_checked(app, "failed")
    await app.aclose()
    assert isinstance(app.app, UpstreamApp)
    await app.app.aclose()


async def test_a_check_that_finds_the_key_revoked_ends_its_hits(
    upstream: ScriptedUpstream,
) -> None:
    app = checking(upstream)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        upstream.enqueue(error_reply(401))
        await driver.chat(REWORDED, headers=KEY)
        await settled(app)
        after = await driver.chat(ASKED, headers=KEY)
    assert after.header("x-cache-reason") == "revalidate"


async def test_a_fault_in_checking_reaches_no_caller(upstream: ScriptedUpstream) -> None:
    def broken() -> float:
        raise RuntimeError

    app = checking(upstream, chance=broken)
    async with AsgiDriver(app) as driver:
        served = await hit(driver)
        assert 'kindcache_failures_total{error="RuntimeError",stage="check"} 1.0' in metrics(app)
    assert served.status == 200


async def test_with_a_model_as_judge_a_check_takes_two_calls_of_the_day(
    upstream: ScriptedUpstream,
) -> None:
    def script(seen: Seen) -> Reply:
        said = {"check": "Lyon.", "judge": "no", None: "Paris."}
        return chat_reply(seen, said[seen.header("x-kindcache-origin")])

    upstream.script = script
    app = checking(upstream, compare="model", judge_model="referee", verify_per_day=3)
    async with AsgiDriver(app) as driver:
        await hit(driver)
        await settled(app)
        assert verified(app, "wrong")
        await driver.chat("What is the capital city of France now", headers=KEY)
        await settled(app)
        assert not_checked(app, "unpaid")
    origins = [seen.header("x-kindcache-origin") for seen in upstream.requests]
    assert origins == [None, "check", "judge"]
    assert upstream.requests[2].header("authorization") == "Bearer alice"
