"""Whole requests through the middleware to a real upstream server and back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import FakeClock
from tests.drivers import AsgiDriver, ScriptedUpstream, chat_reply, error_reply, html_reply
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio


async def test_the_second_equal_call_is_answered_from_the_cache(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        first = await driver.chat("How tall is Mont Blanc?", headers=KEY)
        second = await driver.chat("How tall is Mont Blanc?", headers=KEY)
    assert first.header("x-cache") == "MISS"
    assert second.header("x-cache") == "HIT"
    assert second.header("x-cache-tier") == "exact"
    assert upstream.count == 1
    for exchange in (first, second):
        choice = exchange.json()["choices"][0]
        assert choice["message"]["content"] == "Answer to: How tall is Mont Blanc?"
        assert choice["finish_reason"] == "stop"
    assert second.json()["usage"] == first.json()["usage"]
    assert second.json()["id"] != first.json()["id"]


async def test_the_same_question_in_other_words_is_answered_from_the_cache(
    upstream: ScriptedUpstream,
) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat("What is the capital city of France?", headers=KEY)
        hit = await driver.chat("What is the capital city of France", headers=KEY)
        other = await driver.chat("Explain quicksort with an example", headers=KEY)
    assert hit.header("x-cache-tier") == "semantic"
    assert float(hit.header("x-cache-similarity") or 0) >= 0.8
    assert other.header("x-cache") == "MISS"
    assert upstream.count == 2


@pytest.mark.parametrize("fill_streams", [True, False])
async def test_a_stored_answer_serves_streaming_and_plain_callers(
    upstream: ScriptedUpstream, fill_streams: bool
) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat("Name three primes.", headers=KEY, stream=fill_streams)
        plain = await driver.chat("Name three primes.", headers=KEY)
        stream = await driver.chat("Name three primes.", headers=KEY, stream=True)
    assert upstream.count == 1
    assert plain.json()["choices"][0]["message"]["content"] == "Answer to: Name three primes."
    assert stream.header("content-type") == "text/event-stream; charset=utf-8"
    assert b"Answer to: Name three primes." in stream.body
    assert stream.body.endswith(b"data: [DONE]\n\n")


async def test_usage_that_the_filling_stream_did_not_tell_is_never_invented(
    upstream: ScriptedUpstream,
) -> None:
    ask = {"stream": True, "stream_options": {"include_usage": True}}
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat("Name three primes.", headers=KEY, stream=True)
        asked = await driver.chat("Name three primes.", headers=KEY, **ask)
        again = await driver.chat("Name three primes.", headers=KEY, **ask)
    assert asked.header("x-cache-reason") == "usage_unknown"
    assert again.header("x-cache") == "HIT"
    assert b'"total_tokens":8' in again.body.replace(b" ", b"")


async def test_a_miss_says_whether_it_was_stored(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        stored = await driver.chat("What is a monad?", headers=KEY)
        hit = await driver.chat("What is a monad?", headers=KEY)
    assert stored.header("cache-status") == 'kindcache; fwd=miss; stored; detail="new"'
    assert (hit.header("cache-status") or "").startswith("kindcache; hit; ttl=3")
    assert hit.header("age") == "0"
    assert hit.header("cache-control") == "private"
    assert hit.header("x-cache-entry") == stored.header("x-cache-entry")


async def test_without_a_credential_nothing_is_cached(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        for _ in range(2):
            exchange = await driver.chat("What is a monad?")
            assert exchange.header("x-cache") == "BYPASS"
            assert exchange.header("x-cache-reason") == "anonymous"
    assert upstream.count == 2


async def test_anonymous_callers_share_where_the_policy_says_so(upstream: ScriptedUpstream) -> None:
    config = {"scope": {"anonymous": "share"}}
    async with AsgiDriver(proxied(upstream.base_url, config)) as driver:
        await driver.chat("What is a monad?")
        hit = await driver.chat("What is a monad?")
        keyed = await driver.chat("What is a monad?", headers=KEY)
    assert hit.header("x-cache") == "HIT"
    assert hit.header("cache-control") is None
    assert keyed.header("x-cache") == "MISS"


@pytest.mark.parametrize(
    "change",
    [
        {"model": "another"},
        {"user": "bob"},
        {"max_tokens": 5},
        {"vendor_field": 1},
        {"temperature": 0.5},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "Hi there"}]},
    ],
)
async def test_whatever_can_change_the_answer_keeps_calls_apart(
    upstream: ScriptedUpstream, change: dict[str, Any]
) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat("Hi there", headers=KEY)
        other = await driver.chat("Hi there", headers=KEY, **change)
        path = await driver.request(
            "POST",
            "/v1/chat/completions?api-version=2",
            json={"model": "test-model", "messages": [{"role": "user", "content": "Hi there"}]},
            headers=KEY,
        )
    assert other.header("x-cache") == "MISS"
    assert path.header("x-cache") == "MISS"


async def test_two_credentials_never_share(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat("Hi there", headers={"authorization": "Bearer alice"})
        other = await driver.chat("Hi there", headers={"authorization": "Bearer bob"})
        cookie = await driver.chat("Hi there", headers={"cookie": "session=1"})
    assert other.header("x-cache") == "MISS"
    assert cookie.header("x-cache") == "MISS"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (lambda seen: error_reply(500), "status"),
        (lambda seen: error_reply(429, retry_after="7"), "status"),
        (lambda seen: html_reply(), "unsupported"),
        (lambda seen: chat_reply(seen, "cut", finish_reason="length"), "finish_reason"),
        (lambda seen: chat_reply(seen, "no", finish_reason="content_filter"), "finish_reason"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_is_no_whole_answer_passes_through_and_is_not_stored(
    upstream: ScriptedUpstream, reply: Any, reason: str, stream: bool
) -> None:
    upstream.script = reply
    app = proxied(upstream.base_url)
    async with AsgiDriver(app) as driver:
        first = await driver.chat("Hi there", headers=KEY, stream=stream)
        second = await driver.chat("Hi there", headers=KEY, stream=stream)
        skipped = app.service.metrics.exposition().decode()
    assert upstream.count == 2
    assert second.header("x-cache") == "MISS"
    assert second.status == first.status
    assert second.body == first.body
    assert first.header("retry-after") == ("7" if first.status == 429 else None)
    assert f'kindcache_write_skipped_total{{reason="{reason}"}} 2.0' in skipped


async def test_paths_it_does_not_know_pass_through_untouched(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        models = await driver.request("GET", "/v1/models", headers=KEY)
        odd = await driver.request("POST", "/v1/other?x=%20y", body=b"\xff\x00", headers=KEY)
    assert models.json()["data"][0]["id"] == "test-model"
    assert models.header("x-cache") is None
    assert odd.status == 404
    assert upstream.requests[1].body == b"\xff\x00"
    assert upstream.requests[1].query == "x=%20y"


async def test_the_control_object_of_the_body_is_heeded_and_not_forwarded(
    upstream: ScriptedUpstream,
) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat("Hi there", headers=KEY, cache={"no-store": True})
        miss = await driver.chat("Hi there", headers=KEY)
        fresh = await driver.chat("Hi there", headers=KEY, cache={"no-cache": True})
        apart = await driver.chat("Hi there", headers=KEY, cache={"namespace": "n"})
        unused = await driver.chat("Hi there", headers=KEY, cache={"use-cache": False})
    assert miss.header("x-cache") == "MISS"
    assert (
        fresh.header("cache-status") == 'kindcache; fwd=request; stored; detail="client_no_cache"'
    )
    assert apart.header("x-cache") == "MISS"
    assert unused.header("x-cache") == "BYPASS"
    assert all("cache" not in seen.json() for seen in upstream.requests)


async def test_only_if_cached_asks_no_model(upstream: ScriptedUpstream) -> None:
    only = KEY | {"cache-control": "only-if-cached"}
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        refused = await driver.chat("Hi there", headers=only)
        await driver.chat("Hi there", headers=KEY)
        served = await driver.chat("Hi there", headers=only)
    assert refused.status == 504
    assert refused.json()["error"]["code"] == "only_if_cached"
    assert served.status == 200
    assert upstream.count == 1


async def test_ages_run_from_creation_and_clients_only_tighten(
    upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, clock=clock)) as driver:
        await driver.chat("Hi there", headers=KEY)
        clock.advance(100)
        hit = await driver.chat("Hi there", headers=KEY)
        young = await driver.chat("Hi there", headers=KEY | {"cache-control": "max-age=99"})
        assert hit.header("age") == "100"
        assert young.header("x-cache-reason") == "client_freshness"
        clock.advance(3599)
        assert (await driver.chat("Hi there", headers=KEY)).header("age") == "3599"
        clock.advance(1)
        gone = await driver.chat("Hi there", headers=KEY | {"cache-control": "max-age=99999"})
    assert gone.header("x-cache") == "MISS"


async def test_a_revoked_credential_gets_nothing(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat("Hi there", headers=KEY)
        upstream.enqueue(error_reply(401))
        await driver.chat("Something else", headers=KEY)
        refused = await driver.chat("Hi there", headers=KEY)
        served = await driver.chat("Hi there", headers=KEY)
    assert refused.header("x-cache-reason") == "revalidate"
    assert refused.header("x-cache") == "MISS"
    assert served.header("x-cache") == "HIT"


async def test_a_category_that_is_not_cached_is_neither_looked_up_nor_stored(
    upstream: ScriptedUpstream,
) -> None:
    config = {"categories": {"medical": {"match": {"pattern": "(?i)aspirin"}, "cache": False}}}
    app = proxied(upstream.base_url, config)
    async with AsgiDriver(app) as driver:
        for _ in range(2):
            exchange = await driver.chat("May I take Aspirin?", headers=KEY)
            assert exchange.header("x-cache") == "BYPASS"
            assert exchange.header("x-cache-category") == "medical"
        assert len(app.service.engine.memory.table) == 0
    assert upstream.count == 2


async def test_calls_with_tools_use_the_exact_tier_only(upstream: ScriptedUpstream) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    async with AsgiDriver(proxied(upstream.base_url)) as driver:
        await driver.chat("What is the capital city of France?", headers=KEY, tools=tools)
        near = await driver.chat("What is the capital city of France", headers=KEY, tools=tools)
        same = await driver.chat("What is the capital city of France?", headers=KEY, tools=tools)
    assert near.header("x-cache-reason") == "exact_only"
    assert same.header("x-cache-tier") == "exact"
