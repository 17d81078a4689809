"""Verdicts on hits, over HTTP, from those who got them and from others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import openai
import pytest

from kindcache.adapters.serving.hit_token import LIFE_S
from kindcache.cache.learning.feedback import TAKEN_PER_DAY
from tests.conftest import FakeClock
from tests.drivers import AsgiDriver, Exchange, ScriptedUpstream, serve
from tests.drivers.cached import KEY, SECRET, proxied

pytestmark = pytest.mark.anyio

STORED = "What is the capital city of France?"
ASKED = "What is the capital city in France?"
BOB = {"authorization": "Bearer bob"}
TOKEN = "x-cache-hit-token"


async def token(driver: AsgiDriver, prompt: str, headers: Any = KEY) -> str:
    found = (await driver.chat(prompt, headers=headers)).header(TOKEN)
    assert found is not None
    return found


async def say(
    driver: AsgiDriver, hit: str, verdict: str = "wrong", headers: Any = KEY
) -> tuple[int, Any]:
    exchange = await post(driver, {"hit": hit, "verdict": verdict}, headers)
    return exchange.status, exchange.json()


async def post(driver: AsgiDriver, body: Any, headers: Any = KEY) -> Exchange:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await driver.request("POST", "/_cache/feedback", body=data, headers=headers)


async def reason(driver: AsgiDriver, prompt: str, headers: Any = KEY) -> str | None:
    return (await driver.chat(prompt, headers=headers)).header("x-cache-reason")


def test_the_official_client_reports_a_wrong_hit_and_never_sees_it_again(
    upstream: ScriptedUpstream,
) -> None:
    with (
        serve(proxied(upstream.base_url)) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="alice", max_retries=0) as client,
    ):

        def ask(prompt: str) -> tuple[Mapping[str, str], str | None]:
            raw = client.chat.completions.with_raw_response.create(
                model="test-model", messages=[{"role": "user", "content": prompt}]
            )
            return raw.headers, raw.parse().choices[0].message.content

        ask(STORED)
        headers, text = ask(ASKED)
        assert (headers["x-cache-reason"], text) == ("semantic", f"Answer to: {STORED}")
        told = httpx.post(
            f"{served.url}/_cache/feedback",
            json={"hit": headers[TOKEN], "verdict": "wrong"},
            headers={"authorization": "Bearer alice"},
        )
        assert (told.status_code, told.json()) == (200, {"effect": "blocked"})
        after = [ask(ASKED) for _ in range(2)]
    assert [headers["x-cache-reason"] for headers, _ in after] == ["blocked", "exact"]
    assert {text for _, text in after} == {f"Answer to: {ASKED}"}


@pytest.mark.parametrize("stream", [False, True])
async def test_every_hit_carries_a_token_and_nothing_else_does(
    stream: bool, upstream: ScriptedUpstream
) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        miss = await driver.chat(STORED, headers=KEY, stream=stream)
        exact = await driver.chat(STORED, headers=KEY, stream=stream)
        semantic = await driver.chat(ASKED, headers=KEY, stream=stream)
        anonymous = await driver.chat(STORED)
    assert [e.header(TOKEN) is not None for e in (miss, exact, semantic, anonymous)] == [
        False,
        True,
        True,
        False,
    ]


async def test_verdicts_on_semantic_hits_are_counted_and_those_on_exact_hits_are_not(
    upstream: ScriptedUpstream,
) -> None:
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        await driver.chat(STORED, headers=KEY)
        for prompt, verdict in [(STORED, "right"), (ASKED, "right"), (ASKED + "!", "wrong")]:
            assert (await say(driver, await token(driver, prompt), verdict))[0] == 200
        metrics = app.service.metrics.exposition().decode()
    counted = [line for line in metrics.splitlines() if 'source="feedback"' in line]
    assert sorted(line.partition("{")[2] for line in counted if "_total{" in line) == [
        'category="default",source="feedback",verdict="right"} 1.0',
        'category="default",source="feedback",verdict="wrong"} 1.0',
    ]


async def test_another_wording_of_the_same_words_is_blocked_too(
    upstream: ScriptedUpstream,
) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat(STORED, headers=KEY)
        await say(driver, await token(driver, ASKED))
        assert await reason(driver, ASKED.lower()) == "blocked"


async def test_a_wrong_exact_hit_is_asked_anew(upstream: ScriptedUpstream) -> None:
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        await driver.chat(STORED, headers=KEY)
        assert await say(driver, await token(driver, STORED)) == (200, {"effect": "removed"})
        assert await reason(driver, STORED) in {"new", "blocked"}
        assert await reason(driver, STORED) == "exact"
        metrics = app.service.metrics.exposition().decode()
    assert 'kindcache_removed_total{why="feedback"} 1.0' in metrics


@pytest.mark.parametrize("store", ["sqlite", "redis"])
@pytest.mark.parametrize("prompt", [STORED, ASKED])
async def test_it_survives_a_restart(
    prompt: str, store: str, upstream: ScriptedUpstream, tmp_path: Path, redis_url: str
) -> None:
    url = {"sqlite": f"sqlite:///{tmp_path}/kc.db", "redis": redis_url}[store]
    config = {"store": {"url": url, "namespace": f"feedback-{uuid4().hex}"}}
    async with AsgiDriver(proxied(upstream.base_url, config)) as driver:
        await driver.chat(STORED, headers=KEY)
        old = await token(driver, prompt)
        await say(driver, old)
    app = proxied(upstream.base_url, config)
    async with AsgiDriver(app) as driver:
        await app.service.lifecycle.load()
        assert await say(driver, old) == (200, {"effect": "unchanged"})
        assert await reason(driver, prompt) in {"blocked", "new"}
        if prompt == ASKED:
            assert await reason(driver, STORED) == "exact"


async def test_another_process_learns_of_it_from_the_store(
    upstream: ScriptedUpstream, redis_url: str
) -> None:
    config = {"store": {"url": redis_url, "namespace": f"feedback-{uuid4().hex}"}}
    here, there = (proxied(upstream.base_url, config) for _ in range(2))
    async with AsgiDriver(here) as one:
        await one.chat(STORED, headers=KEY)
        await here.service.engine.memory.writer.drain()
        async with AsgiDriver(there) as other:
            await there.service.lifecycle.load()
            assert await reason(other, ASKED) == "semantic"
            await say(one, await token(one, ASKED))
            await say(one, await token(one, STORED))
            await here.service.engine.blocked.send(here.service.engine.store)
            await there.service.engine.blocked.read(there.service.engine.store)
            # The deletion may be known there by now, too.
            for prompt in (ASKED, STORED):
                assert await reason(other, prompt) in {"blocked", "new"}


async def test_nobody_else_can_use_the_token(upstream: ScriptedUpstream) -> None:
    clock = FakeClock()
    async with AsgiDriver(proxied(upstream.base_url, clock=clock)) as driver:
        await driver.chat(STORED, headers=KEY)
        mine = await token(driver, ASKED)
        answers = [await say(driver, mine, headers=headers) for headers in (BOB, {})]
        clock.advance(LIFE_S + 1.0)
        answers.append(await say(driver, mine, headers=BOB))
        assert [status for status, _ in answers] == [403, 403, 403]
        assert len({json.dumps(told) for _, told in answers}) == 1
        clock.advance(-LIFE_S)
        assert await reason(driver, ASKED) == "semantic"


async def test_a_token_of_another_secret_is_refused(upstream: ScriptedUpstream) -> None:
    other = {"KINDCACHE_SECRET": "quite another secret of the tests"}
    async with AsgiDriver(proxied(upstream.base_url, environ=other)) as driver:
        await driver.chat(STORED, headers=KEY)
        foreign = await token(driver, ASKED)
    async with AsgiDriver(proxied(upstream.base_url, environ=SECRET)) as driver:
        status, told = await say(driver, foreign)
    assert (status, told["code"]) == (400, "token")


async def test_an_old_token_is_gone(upstream: ScriptedUpstream) -> None:
    clock = FakeClock()
    async with AsgiDriver(proxied(upstream.base_url, clock=clock)) as driver:
        await driver.chat(STORED, headers=KEY)
        old = await token(driver, ASKED)
        clock.advance(LIFE_S + 1.0)
        status, told = await say(driver, old)
    assert (status, told["code"]) == (410, "expired")


async def test_wrong_is_final(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat(STORED, headers=KEY)
        hit = await token(driver, ASKED)
        assert await say(driver, hit, "right") == (200, {"effect": "noted"})
        assert await say(driver, hit, "right") == (200, {"effect": "unchanged"})
        assert await say(driver, hit, "wrong") == (200, {"effect": "blocked"})
        status, told = await say(driver, hit, "right")
    assert (status, told["code"]) == (409, "contradicted")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"hit": "x", "verdict": "wrong", "more": ' + b"[" * 3000,
        b"[]",
        b"\xff",
        {"hit": "x"},
        {"verdict": "wrong"},
        {"hit": 3, "verdict": "wrong"},
        {"hit": "x", "verdict": "WRONG"},
        {"hit": "x", "verdict": True},
    ],
)
async def test_a_body_of_another_shape_is_refused(body: Any, upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        exchange = await post(driver, body)
    assert (exchange.status, exchange.json()["code"]) == (400, "shape")
    assert "verdict" in exchange.json()["error"]


@pytest.mark.parametrize("hit", ["", "x", "AAAA", "Z" * 128, "é"])
async def test_what_is_no_token_is_refused(hit: str, upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        status, told = await say(driver, hit)
    assert (status, told["code"]) == (400, "token")


async def test_a_large_body_is_not_read(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        exchange = driver.start("POST", "/_cache/feedback", body=None, headers=KEY)
        exchange.feed(b"x" * 5000)
        await exchange.ended()
    assert (exchange.status, exchange.json()["code"]) == (413, "too_large")


async def test_there_is_nothing_to_get(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        exchange = await driver.request("GET", "/_cache/feedback", headers=KEY)
    assert (exchange.status, exchange.header("allow")) == (405, "POST")
    assert upstream.count == 0


async def test_a_caller_can_only_say_so_much_in_a_day(upstream: ScriptedUpstream) -> None:
    clock = FakeClock(1_700_006_400.0 - TAKEN_PER_DAY - 100.0)  # before midnight, UTC
    app = proxied(upstream.base_url, clock=clock)
    async with AsgiDriver(app) as driver:
        await driver.chat(STORED, headers=KEY)
        for _ in range(TAKEN_PER_DAY):
            assert (await say(driver, await token(driver, STORED), "right"))[0] == 200
            clock.advance(1.0)
        body = {"hit": await token(driver, STORED), "verdict": "right"}
        refused = await post(driver, body)
        assert (refused.status, refused.json()["code"]) == (429, "too_many")
        assert refused.header("retry-after") == "101"
        clock.advance(101.0)
        assert (await post(driver, body)).status == 200


@pytest.mark.parametrize(
    ("scope", "mine", "others", "expected"),
    [
        ({"by": "header:X-Tenant"}, {"x-tenant": "a"}, {"x-tenant": "b"}, 403),
        ({"by": "header:X-Tenant"}, {"x-tenant": "a"}, BOB, 403),
        ({"by": "header:X-Tenant"}, {"x-tenant": "a"}, BOB | {"x-tenant": "a"}, 200),
        ({"by": "shared"}, KEY, BOB, 200),
        ({"anonymous": "share"}, {}, {}, 200),
        ({"anonymous": "share"}, {}, BOB, 403),
        ({"anonymous": "share"}, BOB, {}, 403),
    ],
)
async def test_whoever_shares_the_answer_may_judge_it(
    scope: Any, mine: Any, others: Any, expected: int, upstream: ScriptedUpstream
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, {"scope": scope})) as driver:
        await driver.chat(STORED, headers=mine)
        hit = await token(driver, ASKED, mine)
        assert (await say(driver, hit, headers=others))[0] == expected


async def test_it_can_be_turned_off(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url, {"evidence": {"feedback": False}})) as driver:
        await driver.chat(STORED, headers=KEY)
        hit = await driver.chat(STORED, headers=KEY)
        exchange = await post(driver, {"hit": "x", "verdict": "wrong"})
    assert (hit.header("x-cache"), hit.header(TOKEN)) == ("HIT", None)
    assert exchange.status == 404  # the upstream's


async def test_without_details_there_is_no_token(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url, {"http": {"details": False}})) as driver:
        await driver.chat(STORED, headers=KEY)
        hit = await driver.chat(STORED, headers=KEY)
    assert (hit.header("x-cache"), hit.header(TOKEN)) == ("HIT", None)


async def test_no_admin_token_is_needed_and_none_helps(upstream: ScriptedUpstream) -> None:
    environ = SECRET | {"KINDCACHE_ADMIN_TOKEN": "root-token"}
    async with AsgiDriver(proxied(upstream.base_url, environ=environ)) as driver:
        await driver.chat(STORED, headers=KEY)
        hit = await token(driver, ASKED)
        admin = {"authorization": "Bearer root-token"}
        assert (await say(driver, hit, headers=admin))[0] == 403
        assert (await say(driver, hit))[0] == 200
