"""Shadow mode and comparing: what would have been a hit is learnt from, and never served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kindcache.adapters.middleware import KindcacheMiddleware
from tests.drivers import AsgiDriver, Reply, ScriptedUpstream, Seen, chat_reply, error_reply
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio

ASKED = "What is the capital city of France?"
REWORDED = "What is the capital city of France"
DEFAULTS = {"similarity_threshold": 0.8, "ttl": "1h"}
SHADOW: dict[str, Any] = {"defaults": DEFAULTS | {"mode": "shadow"}}
COMPARED = SHADOW | {"evidence": {"compare": "similarity"}}
BY_MODEL = SHADOW | {"evidence": {"compare": "model", "judge_model": "referee"}}


def verified(app: KindcacheMiddleware, verdict: str, source: str = "shadow") -> bool:
    labels = f'category="default",source="{source}",verdict="{verdict}"'
    return f"kindcache_hits_verified_total{{{labels}}} 1.0" in metrics(app)


def not_compared(app: KindcacheMiddleware, why: str, source: str = "shadow") -> bool:
    labels = f'source="{source}",why="{why}"'
    return f"kindcache_not_compared_total{{{labels}}} 1.0" in metrics(app)


def metrics(app: KindcacheMiddleware) -> str:
    assert app.service is not None
    return app.service.metrics.exposition().decode()


async def settled(app: KindcacheMiddleware) -> None:
    """Wait until everything in the background is done."""
    assert app.service is not None
    for work in app.service.lifecycle.background:
        await work.drain()


def saying(answers: Mapping[str, str]) -> Any:
    """Return a script that answers prompts by name, and referees as the test says."""

    def script(seen: Seen) -> Reply:
        purpose = seen.header("x-kindcache-origin")
        return chat_reply(seen, answers[seen.prompt if purpose != "judge" else "judge"])

    return script


async def test_it_never_serves_by_meaning_and_still_serves_to_the_letter(
    upstream: ScriptedUpstream,
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, SHADOW)) as driver:
        await driver.chat(ASKED, headers=KEY)
        watched = await driver.chat(REWORDED, headers=KEY)
        first = await driver.chat(ASKED, headers=KEY)
        second = await driver.chat(REWORDED, headers=KEY)
    assert watched.header("x-cache") == "MISS"
    assert watched.header("x-cache-reason") == "shadow"
    assert [first.header("x-cache-tier"), second.header("x-cache-tier")] == ["exact", "exact"]
    assert upstream.count == 2


@pytest.mark.parametrize(
    ("fresh", "verdict"),
    [("The capital is Paris.", "right"), ("Take the bus to the station at noon.", "wrong")],
)
async def test_the_fresh_answer_tells_whether_the_hit_would_have_been_right(
    fresh: str, verdict: str, upstream: ScriptedUpstream
) -> None:
    upstream.script = saying({ASKED: "The capital is Paris.", REWORDED: fresh})
    app = proxied(upstream.base_url, COMPARED)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        await driver.chat(REWORDED, headers=KEY)
        await settled(app)
        assert verified(app, verdict)
    assert upstream.count == 2


async def test_streamed_answers_are_compared_too(upstream: ScriptedUpstream) -> None:
    upstream.script = saying({ASKED: "Paris it is.", REWORDED: "Paris it is."})
    app = proxied(upstream.base_url, COMPARED)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY, stream=True)
        await driver.chat(REWORDED, headers=KEY, stream=True)
        await settled(app)
        assert verified(app, "right")


async def test_who_forbids_storing_is_not_compared(upstream: ScriptedUpstream) -> None:
    app = proxied(upstream.base_url, COMPARED)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        miss = await driver.chat(REWORDED, headers=KEY | {"cache-control": "no-store"})
        await settled(app)
        assert miss.header("x-cache-reason") == "shadow"
        assert "kindcache_hits_verified_total{" not in metrics(app)


async def test_nothing_is_compared_unless_it_is_asked_for(upstream: ScriptedUpstream) -> None:
    app = proxied(upstream.base_url, SHADOW)
    async with AsgiDriver(app) as driver:
        await driver.chat(ASKED, headers=KEY)
        await driver.chat(REWORDED, headers=KEY)
        await settled(app)
        assert "kindcache_hits_verified_total{" not in metrics(app)
        assert "kindcache_own_calls_left" not in metrics(app)


async def test_an_answer_that_is_gone_is_counted(upstream: ScriptedUpstream) -> None:
    slow = COMPARED | {"store": {"url": "memory://", "hot_payloads": 1}}
    app = proxied(upstream.base_url, slow)
    async with AsgiDriver(app) as driver:
        entry = (await driver.chat(ASKED, headers=KEY)).header("x-cache-entry")
        await app.service.engine.memory.writer.drain()
        exchange = driver.start(
            "POST",
            "/v1/chat/completions",
            json={"model": "test-model", "messages": [{"role": "user", "content": REWORDED}]},
            headers=KEY,
        )
        await upstream.request(1)
        app.service.engine.memory.remove([bytes.fromhex(entry or "")], "purged")
        await app.service.engine.memory.writer.drain()
        await exchange.ended()
        await settled(app)
        assert not_compared(app, "gone")


class TestTheModelAsJudge:
    @pytest.mark.parametrize(("said", "verdict"), [("Yes.", "right"), ("no", "wrong")])
    async def test_its_word_counts(
        self, said: str, verdict: str, upstream: ScriptedUpstream
    ) -> None:
        upstream.script = saying({ASKED: "Paris.", REWORDED: "It is Paris.", "judge": said})
        app = proxied(upstream.base_url, BY_MODEL)
        async with AsgiDriver(app) as driver:
            await driver.chat(ASKED, headers=KEY)
            await driver.chat(REWORDED, headers=KEY)
            await settled(app)
            assert verified(app, verdict)
        assert upstream.count == 3

    async def test_what_is_no_verdict_teaches_nothing(self, upstream: ScriptedUpstream) -> None:
        upstream.script = saying({ASKED: "Paris.", REWORDED: "It is Paris.", "judge": "Maybe"})
        app = proxied(upstream.base_url, BY_MODEL)
        async with AsgiDriver(app) as driver:
            await driver.chat(ASKED, headers=KEY)
            await driver.chat(REWORDED, headers=KEY)
            await settled(app)
            assert not_compared(app, "unclear")

    async def test_its_failure_is_counted_and_seen_by_nobody(
        self, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
    ) -> None:
        def script(seen: Seen) -> Reply:
            if seen.header("x-kindcache-origin"):
                return error_reply(500, f"cannot judge {seen.prompt}")
            return chat_reply(seen, "It is Paris." if seen.prompt == ASKED else "Paris.")

        upstream.script = script
        app = proxied(upstream.base_url, BY_MODEL)
        async with AsgiDriver(app) as driver:
            await driver.chat(ASKED, headers=KEY)
            miss = await driver.chat(REWORDED, headers=KEY)
            await settled(app)
            assert not_compared(app, "failed")
        assert miss.status == 200
        assert "compare failed" in caplog.text
        assert "Paris" not in caplog.text
        assert "France" not in caplog.text

    async def test_it_is_not_asked_past_the_daily_budget(self, upstream: ScriptedUpstream) -> None:
        upstream.script = saying({ASKED: "Paris.", REWORDED: "It is Paris.", "judge": "yes"})
        evidence = BY_MODEL["evidence"] | {"verify_per_day": 0}
        app = proxied(upstream.base_url, BY_MODEL | {"evidence": evidence})
        async with AsgiDriver(app) as driver:
            await driver.chat(ASKED, headers=KEY)
            await driver.chat(REWORDED, headers=KEY)
            await settled(app)
            assert not_compared(app, "unpaid")
        assert upstream.count == 2

    async def test_what_it_sends(self, upstream: ScriptedUpstream) -> None:
        upstream.script = saying({ASKED: "Paris.", REWORDED: "It is Paris.", "judge": "yes"})
        app = proxied(upstream.base_url, BY_MODEL)
        async with AsgiDriver(app) as driver:
            await driver.chat(ASKED, headers=KEY)
            await driver.chat(REWORDED, headers=KEY | {"idempotency-key": "k"}, stream=True)
            await settled(app)
            assert verified(app, "right")
            assert 'kindcache_own_calls_total{outcome="answered",purpose="judge"} 1.0' in metrics(
                app
            )
            assert "kindcache_own_calls_left 199.0" in metrics(app)
        call = upstream.requests[2]
        assert call.header("x-kindcache-origin") == "judge"
        assert call.header("authorization") == "Bearer alice"
        assert call.header("idempotency-key") is None
        asked = call.json()
        assert (asked["model"], asked["temperature"]) == ("referee", 0)
        assert "stream" not in asked
