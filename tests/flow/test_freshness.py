"""Answers past their life: served while they are refreshed, or while the model fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kindcache.adapters.middleware import KindcacheMiddleware
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
from tests.drivers.cached import KEY, cached, proxied

pytestmark = pytest.mark.anyio

ASKED = "What is the capital city of France?"
REWORDED = "What is the capital city of France"
DAY_S = 86400.0


def stale_config(**freshness: Any) -> dict[str, Any]:
    return {
        "scope": {"revalidate": "30d"},
        "defaults": {
            "similarity_threshold": 0.8,
            "ttl": "1h",
            "stale_while_revalidate": "10m",
            "stale_if_error": "1d",
        },
        "freshness": freshness,
    }


def versions() -> Any:
    """Answer with a number that grows."""
    numbers = iter(range(1, 1000))

    def script(seen: Seen) -> Reply:
        return chat_reply(seen, f"version {next(numbers)}")

    return script


def text(exchange: Exchange) -> str:
    return str(exchange.json()["choices"][0]["message"]["content"])


def origins(upstream: ScriptedUpstream) -> list[str | None]:
    return [seen.header("x-kindcache-origin") for seen in upstream.requests]


async def settled(app: KindcacheMiddleware) -> None:
    assert app.service is not None
    for work in app.service.lifecycle.background:
        await work.drain()


async def test_a_stale_answer_is_served_at_once_and_refreshed_once(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    gate = Gate("the refresh")
    script = versions()
    upstream.script = script
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(3630.0)
        upstream.script = lambda seen: chat_reply(seen, "version 2", before=(gate,))
        stale = [await driver.chat(ASKED, headers=KEY) for _ in range(5)]
        await upstream.request(1)
        gate.open()
        await settled(app)
        fresh = await driver.chat(ASKED, headers=KEY)
    assert {text(exchange) for exchange in stale} == {"version 1"}
    assert stale[0].header("x-cache") == "HIT"
    assert stale[0].header("x-cache-reason") == "stale"
    assert stale[0].header("age") == "3630"
    assert stale[0].header("cache-status") == 'kindcache; hit; ttl=-30; detail="exact"'
    assert text(fresh) == "version 2"
    assert fresh.header("x-cache-reason") == "exact"
    assert fresh.header("age") == "0"
    assert origins(upstream) == [None, "refresh"]
    assert upstream.requests[1].header("authorization") == KEY["authorization"]
    assert upstream.requests[1].prompt == ASKED


async def test_a_stale_answer_to_other_words_is_refreshed_in_these(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.script = versions()
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(3630.0)
        stale = await driver.chat(REWORDED, headers=KEY)
        await settled(app)
        fresh = await driver.chat(REWORDED, headers=KEY)
    assert stale.header("x-cache-tier") == "semantic"
    assert stale.header("x-cache-reason") == "stale"
    assert (text(stale), text(fresh)) == ("version 1", "version 2")
    assert fresh.header("x-cache-tier") == "exact"
    assert origins(upstream) == [None, "refresh"]


async def test_past_the_window_nothing_stale_is_served_and_the_entry_goes(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.script = versions()
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(4200.0)
        late = await driver.chat(ASKED, headers=KEY | {"cache-control": "no-store"})
        assert app.service is not None
        memory = app.service.engine.memory
        memory.expire(clock())
        assert len(memory.table) == 1  # it may still stand in for the model
        clock.advance(DAY_S)
        memory.expire(clock())
        assert len(memory.table) == 0
    assert late.header("x-cache-reason") == "expired"
    assert late.header("cache-status") == 'kindcache; fwd=stale; detail="expired"'
    assert text(late) == "version 2"


@pytest.mark.parametrize(
    "asked",
    [
        "no-cache",
        "max-age=99999",
        "min-fresh=0",
        "max-stale=10",
        "must-revalidate",
        "max-age=60, max-stale",
        "no-store",  # nothing could be refreshed with it
    ],
)
async def test_a_client_that_wants_nothing_stale_gets_a_fresh_answer(
    upstream: ScriptedUpstream, clock: FakeClock, asked: str
) -> None:
    upstream.script = versions()
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(3630.0)
        answered = await driver.chat(ASKED, headers=KEY | {"cache-control": asked})
        await settled(app)
    assert answered.header("x-cache") == "MISS"
    assert text(answered) == "version 2"
    assert origins(upstream) == [None, None]


@pytest.mark.parametrize("asked", ["max-stale", "max-stale=60", "max-age=9999, max-stale=60"])
async def test_a_client_that_takes_stale_answers_gets_one(
    upstream: ScriptedUpstream, clock: FakeClock, asked: str
) -> None:
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(3630.0)
        answered = await driver.chat(ASKED, headers=KEY | {"cache-control": asked})
        await settled(app)
    assert answered.header("x-cache-reason") == "stale"


async def test_max_stale_does_not_reach_past_the_windows(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(4201.0)
        answered = await driver.chat(ASKED, headers=KEY | {"cache-control": "max-stale"})
    assert answered.header("x-cache") == "MISS"


async def test_without_a_refresh_to_pay_for_nothing_stale_is_served(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.script = versions()
    app = proxied(upstream.base_url, stale_config(refresh_per_day=1), clock=clock)
    async with AsgiDriver(app) as driver:
        for prompt in (ASKED, "How tall is the tower in Paris?"):
            await driver.chat(prompt, headers=KEY)
        clock.advance(3630.0)
        paid = await driver.chat(ASKED, headers=KEY)
        await settled(app)
        unpaid = await driver.chat("How tall is the tower in Paris?", headers=KEY)
        clock.advance(DAY_S + 3500.0)
        await driver.chat(ASKED, headers=KEY)
        clock.advance(3630.0)
        next_day = await driver.chat(ASKED, headers=KEY)
        await settled(app)
        assert app.service is not None
        exposition = app.service.metrics.exposition().decode()
    assert paid.header("x-cache-reason") == "stale"
    assert unpaid.header("x-cache-reason") == "expired"
    assert next_day.header("x-cache-reason") == "stale"
    assert "kindcache_refreshes_left 0.0" in exposition
    assert 'kindcache_own_calls_total{outcome="answered",purpose="refresh"} 2.0' in exposition


async def test_a_refresh_that_fails_is_not_tried_again_at_once(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.script = versions()
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(3630.0)
        upstream.enqueue(error_reply(500))
        for _ in range(3):
            stale = await driver.chat(ASKED, headers=KEY)
            await settled(app)
        assert len(origins(upstream)) == 2
        clock.advance(31.0)
        await driver.chat(ASKED, headers=KEY)
        await settled(app)
        fresh = await driver.chat(ASKED, headers=KEY)
    assert stale.header("x-cache-reason") == "stale"
    assert text(fresh) == "version 2"


async def test_a_withdrawn_answer_is_not_served_stale_either(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.script = versions()
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(3630.0)
        upstream.enqueue(error_reply(500))
        stale = await driver.chat(ASKED, headers=KEY)
        await settled(app)
        verdict = {"hit": stale.header("x-cache-hit-token"), "verdict": "wrong"}
        said = await driver.request("POST", "/_cache/feedback", json=verdict, headers=KEY)
        upstream.enqueue(error_reply(503))
        after = await driver.chat(ASKED, headers=KEY)
    assert said.json() == {"effect": "removed"}
    assert after.status == 503


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stored_answer_stands_in_for_a_model_that_fails(
    upstream: ScriptedUpstream, clock: FakeClock, *, stream: bool
) -> None:
    upstream.script = versions()
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(7200.0)
        upstream.enqueue(error_reply(503))
        exact = await driver.chat(ASKED, headers=KEY, stream=stream)
        clock.advance(2.0)
        upstream.enqueue(error_reply(500))
        semantic = await driver.chat(REWORDED, headers=KEY, stream=stream)
        back = await driver.chat("Who painted the ceiling?", headers=KEY, stream=stream)
    assert exact.status == semantic.status == 200
    assert b"version 1" in exact.body
    assert b"version 1" in semantic.body
    assert exact.header("x-cache") == "HIT"
    assert exact.header("x-cache-reason") == "stale_if_error"
    assert exact.header("age") == "7200"
    status = 'kindcache; fwd=stale; fwd-status=503; ttl=-3600; detail="stale_if_error"'
    assert exact.header("cache-status") == status
    assert semantic.header("x-cache-tier") == "semantic"
    assert back.header("x-cache") == "MISS"


async def test_a_stand_in_is_no_answer_past_its_window_or_against_the_clients_wish(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(7200.0)
        upstream.script = lambda _: error_reply(500)
        for asked in ("no-cache", "max-age=9999", "stale-if-error=60", "must-revalidate"):
            answered = await driver.chat(ASKED, headers=KEY | {"cache-control": asked})
            assert answered.status == 500, asked
        other = await driver.chat(ASKED, headers={"authorization": "Bearer mallory"})
        assert other.status == 500
        clock.advance(DAY_S - 3599.0)
        late = await driver.chat(ASKED, headers=KEY)
    assert late.status == 500


async def test_a_stored_answer_stands_in_where_nothing_can_be_reached(clock: FakeClock) -> None:
    with ScriptedUpstream() as upstream:
        app = proxied(upstream.base_url, stale_config(), clock=clock)
        driver = AsgiDriver(app)
        await driver.chat(ASKED, headers=KEY)
    clock.advance(7200.0)
    answered = await driver.chat(ASKED, headers=KEY)
    unknown = await driver.chat("Who painted the ceiling?", headers=KEY)
    assert answered.header("x-cache-reason") == "stale_if_error"
    assert "fwd-status=502" in (answered.header("cache-status") or "")
    assert unknown.status == 502
    await app.aclose()
    await app.app.aclose()


async def test_callers_of_a_failing_model_do_not_all_wait_for_it(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    gate = Gate("the failure")
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(7200.0)
        failing = error_reply(504)
        upstream.script = lambda _: Reply(
            failing.steps, failing.status, failing.headers, before=(gate,)
        )
        tasks = [asyncio.create_task(driver.chat(ASKED, headers=KEY)) for _ in range(8)]
        await upstream.request(1)
        gate.open()
        answers = await asyncio.gather(*tasks)
    assert {exchange.header("x-cache-reason") for exchange in answers} == {"stale_if_error"}
    assert upstream.count == 2
    asked = [a for a in answers if "fwd=stale" in (a.header("cache-status") or "")]
    assert len(asked) == 1
    assert (answers[-1].header("cache-status") or "").startswith("kindcache; hit; ttl=-")


async def test_an_apps_connection_error_is_stood_in_for_and_others_pass(clock: FakeClock) -> None:
    faults: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if faults:
            raise faults[0]
        body = (
            b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
            b'"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}]}'
        )
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    driver = AsgiDriver(cached(app, stale_config(), clock=clock))
    await driver.chat(ASKED, headers=KEY)
    clock.advance(7200.0)
    faults.append(ConnectionRefusedError())
    answered = await driver.chat(ASKED, headers=KEY)
    faults[0] = ValueError("a fault of the app")
    clock.advance(2.0)
    with pytest.raises(ValueError, match="a fault of the app"):
        await driver.chat("Who painted the ceiling?", headers=KEY)
    assert answered.header("x-cache-reason") == "stale_if_error"
    await driver.app.aclose()


async def test_prompts_that_speak_of_now_live_shorter_and_never_stale(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    config = stale_config()
    config["defaults"] |= {"time_words": "shorten", "time_words_ttl": "1m"}
    app = proxied(upstream.base_url, config, clock=clock)
    async with AsgiDriver(app) as driver:
        for prompt in ("What is the latest version?", ASKED):
            await driver.chat(prompt, headers=KEY)
        soon = await driver.chat("What is the latest version?", headers=KEY)
        clock.advance(61.0)
        late = await driver.chat("What is the latest version?", headers=KEY)
        other = await driver.chat(ASKED, headers=KEY)
        upstream.script = lambda _: error_reply(500)
        clock.advance(61.0)
        failed = await driver.chat("What is the latest version?", headers=KEY)
    assert soon.header("cache-status") == 'kindcache; hit; ttl=60; detail="exact"'
    assert late.header("x-cache-reason") == "expired"
    assert other.header("x-cache") == "HIT"
    assert failed.status == 500


async def test_prompts_that_speak_of_now_pass_through_where_the_category_bars_them(
    upstream: ScriptedUpstream,
) -> None:
    config = {"defaults": {"similarity_threshold": 0.8, "ttl": "1h", "time_words": "bar"}}
    app = proxied(upstream.base_url, config)
    async with AsgiDriver(app) as driver:
        for _ in range(2):
            passed = await driver.chat("What is the weather today?", headers=KEY)
        await driver.chat(ASKED, headers=KEY)
        kept = await driver.chat(ASKED, headers=KEY)
        assert app.service is not None
        assert len(app.service.engine.memory.table) == 1
    assert passed.header("x-cache") == "BYPASS"
    assert passed.header("x-cache-reason") == "time_words"
    assert kept.header("x-cache") == "HIT"


async def test_a_restart_keeps_what_is_stale_and_nothing_beyond(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Any
) -> None:
    config = stale_config() | {"store": {"url": f"sqlite:///{tmp_path}/kc.db"}}
    async with AsgiDriver(proxied(upstream.base_url, config, clock=clock)) as driver:
        await driver.chat(ASKED, headers=KEY)
    clock.advance(3630.0)
    app = proxied(upstream.base_url, config, clock=clock)
    async with AsgiDriver(app) as driver:
        assert app.service is not None
        await app.service.lifecycle.load()
        semantic = await driver.chat(REWORDED, headers=KEY | {"cache-control": "max-stale"})
        await settled(app)
    clock.advance(2 * DAY_S)
    app = proxied(upstream.base_url, config, clock=clock)
    async with AsgiDriver(app):
        assert app.service is not None
        await app.service.lifecycle.load()
        assert len(app.service.engine.memory.table) == 0
    assert semantic.header("x-cache-reason") == "stale"


@pytest.mark.parametrize("jump_s", [-10 * DAY_S, -7200.0, 10 * DAY_S])
async def test_a_clock_that_jumps_serves_nothing_of_unknown_age(
    upstream: ScriptedUpstream, clock: FakeClock, jump_s: float
) -> None:
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(jump_s)
        jumped = await driver.chat(ASKED, headers=KEY)
        again = await driver.chat(ASKED, headers=KEY)
    assert jumped.header("x-cache") == "MISS"
    assert again.header("x-cache") == "HIT"


async def test_a_stale_hit_is_refreshed_and_not_checked(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.script = versions()
    config = stale_config() | {"evidence": {"compare": "similarity", "verify_share": "100%"}}
    app = proxied(upstream.base_url, config, clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        clock.advance(3630.0)
        stale = await driver.chat(REWORDED, headers=KEY)
        await settled(app)
    assert stale.header("x-cache-tier") == "semantic"
    assert origins(upstream) == [None, "refresh"]  # its age alone may make it differ


async def test_a_request_too_large_to_be_kept_gets_nothing_stale(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    app = proxied(upstream.base_url, stale_config(), clock=clock)
    async with AsgiDriver(app) as driver:
        for seconds in (0.0, 60.0, 3630.0):
            clock.advance(seconds)
            answered = await driver.chat("long " * 60_000, headers=KEY)
            if seconds == 60.0:
                assert answered.header("x-cache-tier") == "exact"
    assert answered.header("x-cache-reason") == "expired"
