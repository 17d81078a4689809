"""A loaded model: what is relaxed, what says so, and that it ends."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kindcache.policies.load import Queue
from tests.drivers import Act, AsgiDriver, Reply, ScriptedUpstream, Seen, chat_reply
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio

ASKED = "What is the capital city of France?"
AGAIN = "What is the capital of France?"  # not near enough at rest
MODEL = "test-model"
FLOORS = {"similarity_threshold": 0.6, "ttl": "3h"}
CONFIG: dict[str, Any] = {
    "defaults": {"similarity_threshold": 0.99, "ttl": "1h"},
    "categories": {"default": {"under_load": FLOORS}},
}


class Times:
    """Both clocks of a cache."""

    def __init__(self) -> None:
        self.unix_s = 1_700_000_000.0
        self.monotonic_s = 50.0

    def unix(self) -> float:
        return self.unix_s

    def monotonic(self) -> float:
        return self.monotonic_s


def built(upstream: ScriptedUpstream, times: Times, config: dict[str, Any] | None = None) -> Any:
    return proxied(upstream.base_url, config or CONFIG, clock=times.unix, monotonic=times.monotonic)


def busy(app: Any, times: Times, seconds: int = 60, queue: Queue | None = None) -> None:
    """Let the server say for so long that as many calls wait as run."""
    for _ in range(seconds):
        times.monotonic_s += 1.0
        app.service.load.loads.heard({MODEL: queue or Queue(9, 9)})
        app.service.load.step()


def calm(app: Any, times: Times) -> None:
    busy(app, times, 200, Queue(0, 9))


async def ask(driver: AsgiDriver, prompt: str = AGAIN, **more: Any) -> Any:
    return await driver.chat(prompt, model=MODEL, headers=KEY, **more)


async def test_load_lets_a_hit_pass_that_says_so_and_it_ends_with_the_load(
    upstream: ScriptedUpstream,
) -> None:
    times = Times()
    app = built(upstream, times)
    async with AsgiDriver(app) as driver:
        await ask(driver, ASKED)
        busy(app, times)
        relaxed, own = await ask(driver), await ask(driver, ASKED)
        loaded = app.service.metrics.exposition().decode()
        calm(app, times)
        after = await ask(driver)
        rested = app.service.metrics.exposition().decode()
    assert relaxed.header("x-cache") == "HIT"
    assert relaxed.header("x-cache-relaxed") == "similarity"
    assert relaxed.header("x-cache-load") == "1.00"
    assert relaxed.header("x-cache-threshold") == "0.6000"
    assert 'detail="semantic relaxed"' in relaxed.header("cache-status")
    assert own.header("x-cache-relaxed") is None
    assert own.header("cache-status").endswith('detail="exact"')
    assert after.header("x-cache") == "MISS"
    assert after.header("x-cache-load") is None
    assert f'kindcache_load{{model="{MODEL}"}} 1.0' in loaded
    assert 'kindcache_relaxed_hits_total{by="similarity",category="default"} 1.0' in loaded
    assert f'kindcache_load{{model="{MODEL}"}} 0.0' in rested


async def test_an_answer_past_its_life_is_honest_about_it(upstream: ScriptedUpstream) -> None:
    times = Times()
    app = built(upstream, times)
    async with AsgiDriver(app) as driver:
        await ask(driver, ASKED)
        times.unix_s += 4000.0
        app.service.engine.memory.standing.succeeded(principal_of(app), times.unix_s)
        busy(app, times)
        stretched = await ask(driver, ASKED)
        wants_young = await ask(driver, ASKED, cache={"s-maxage": 3600})
        fresh = await ask(driver, ASKED)
    assert stretched.header("x-cache-relaxed") == "ttl"
    assert stretched.header("age") == "4000"
    assert "ttl=-400;" in stretched.header("cache-status")
    assert wants_young.header("x-cache") == "MISS"
    assert (fresh.header("age"), fresh.header("x-cache-relaxed")) == ("0", None)


def principal_of(app: Any) -> Any:
    headers = [(name.encode(), value.encode()) for name, value in KEY.items()]
    return app.service.engine.identity.scoping.principal(headers)


async def test_without_floors_load_is_shown_and_changes_nothing(
    upstream: ScriptedUpstream,
) -> None:
    times = Times()
    app = built(upstream, times, {"defaults": {"similarity_threshold": 0.99}})
    async with AsgiDriver(app) as driver:
        await ask(driver, ASKED)
        busy(app, times)
        answer = await ask(driver)
    assert answer.header("x-cache") == "MISS"
    assert answer.header("x-cache-load") == "1.00"


async def test_what_leaves_no_details_still_says_relaxed(upstream: ScriptedUpstream) -> None:
    times = Times()
    app = built(upstream, times, CONFIG | {"http": {"details": False}})
    async with AsgiDriver(app) as driver:
        await ask(driver, ASKED)
        busy(app, times)
        answer = await ask(driver)
    assert 'detail="semantic relaxed"' in answer.header("cache-status")
    assert answer.header("x-cache-load") is None


async def test_refusals_of_the_model_are_load(upstream: ScriptedUpstream) -> None:
    def refusing(seen: Seen) -> Reply:
        return Reply([b"{}"], 429, [("retry-after", "20"), ("content-type", "application/json")])

    times = Times()
    app = built(upstream, times)
    async with AsgiDriver(app) as driver:
        await ask(driver, ASKED)
        upstream.script = refusing
        for number in range(20):
            answer = await ask(driver, f"{number} other things altogether {number}")
            assert answer.status == 429
            times.monotonic_s += 1.0
            app.service.load.step()
        relaxed = await ask(driver)
    assert relaxed.header("x-cache") == "HIT"
    assert float(relaxed.header("x-cache-load")) > 0.5


async def test_calls_under_way_are_counted_until_they_end_or_the_client_leaves(
    upstream: ScriptedUpstream,
) -> None:
    app = built(upstream, Times())
    body = {"model": MODEL, "messages": [{"role": "user", "content": "another question"}]}
    async with AsgiDriver(app) as driver:
        await ask(driver, ASKED)
        await ask(driver, ASKED)  # a hit is no call to the model
        resting = in_flight(app)
        upstream.enqueue(Reply([Act.HANG], 200, [("content-type", "text/event-stream")]))
        leaving = driver.start(
            "POST", "/v1/chat/completions", json=body | {"stream": True}, headers=KEY
        )
        await leaving.started()
        running = in_flight(app)
        leaving.disconnect()
        await leaving.ended()
        after = in_flight(app)
    assert (resting, running, after) == (0.0, 1.0, 0.0)


def in_flight(app: Any) -> float:
    page = app.service.metrics.exposition().decode()
    found = re.search(rf'model_calls_in_flight{{model="{MODEL}"}} (\S+)', page)
    assert found is not None
    return float(found[1])


async def test_the_queue_is_read_from_the_servers_metrics(upstream: ScriptedUpstream) -> None:
    page = (
        f'vllm:num_requests_waiting{{model_name="{MODEL}"}} 9\n'
        f'vllm:num_requests_running{{model_name="{MODEL}"}} 9\n'
    )

    def script(seen: Seen) -> Reply:
        if seen.path == "/metrics":
            return Reply([page.encode()], 200, [("content-type", "text/plain")])
        return chat_reply(seen, f"Answer to: {seen.prompt}")

    upstream.script = script
    times = Times()
    url = f"{upstream.origin}/metrics"
    load = {"metrics_url": url, "metrics_every": "1h", "metrics_deadline": "5s"}
    app = built(upstream, times, CONFIG | {"load": load})
    async with AsgiDriver(app) as driver:
        await ask(driver, ASKED)
        watch = app.service.load
        await watch.listen(watch.metrics)
        for _ in range(9):
            times.monotonic_s += 1.0
            watch.step()
        answer = await ask(driver)
        upstream.script = lambda _seen: Reply([b"no"], 500)
        await watch.listen(watch.metrics)  # survived, and counted
        metrics = app.service.metrics.exposition().decode()
    assert float(answer.header("x-cache-load")) > 0.2
    assert re.search(r'failures_total\{error="MetricsError",stage="load.metrics"\} 1.0', metrics)
