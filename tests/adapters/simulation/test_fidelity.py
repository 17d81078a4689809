"""What is simulated is what happens: one log, through a cache that serves and through a simulation.

The cache that serves is a middleware around an app, with a clock that is set by hand. It shares
with the simulation nothing but the log.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
import yaml

from kindcache.adapters.simulation.example import example
from kindcache.adapters.simulation.outcome import Kind, Outcome
from kindcache.config.load import default_path
from tests.adapters.simulation.conftest import Simulate
from tests.drivers import AsgiDriver, Exchange
from tests.drivers.cached import cached

REQUESTS = 200
APART_S = 40.0  # more than any answer takes: nothing overlaps
SECRET = {"KINDCACHE_SECRET": "another one than the simulation's"}


class Model:
    """An app that takes the time that the log says, and says which request it answered."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.asked: dict[str, Any] = {}  # the line under way
        self.number = -1
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one call."""
        del scope
        await receive()
        self.calls += 1
        self.now_s += self.asked["latency_s"]
        message = {"role": "assistant", "content": self.asked["answer"]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "x", "object": "chat.completion", "created": self.number, "model": "demo"}
        body = json.dumps(answer | {"choices": [choice], "usage": self.asked["usage"]}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def read(exchange: Exchange) -> dict[str, Any]:
    """Say of an answer what an ``Outcome`` says."""
    reason = exchange.header("x-cache-reason") or ""
    tier = exchange.header("x-cache-tier")
    return {
        "kind": Kind(tier or (exchange.header("x-cache") or "bypass").lower()),
        "category": exchange.header("x-cache-category") or "",
        "reason": reason,
        "made_for": exchange.json()["created"],
        "stale": reason == "stale",
    }


async def live(lines: list[dict[str, Any]], policy: dict[str, Any]) -> tuple[list[Any], int]:
    """Let a cache that serves answer ``lines``; return what it did, and the calls to the model."""
    model = Model()
    app = cached(model, policy, clock=lambda: model.now_s, environ=SECRET)
    model.now_s = lines[0]["time"] - 1.0
    service = await app.open()
    driver, found = AsgiDriver(app), []
    for number, line in enumerate(lines):
        model.now_s, model.asked, model.number = line["time"], line, number
        await service.lifecycle.keep(number)  # as once a second
        headers = {"authorization": line["principal"]}
        path = "/v1/chat/completions"
        exchange = await driver.request("POST", path, json=line["request"], headers=headers)
        found.append(read(exchange))
        for work in service.lifecycle.background:
            await work.drain()  # refreshes
        await service.engine.memory.writer.drain()
    await app.aclose()
    return found, model.calls


def shown(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": outcome.kind,
        "category": outcome.category,
        "reason": outcome.reason,
        "made_for": outcome.made_for,
        "stale": outcome.stale,
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_requests_have_the_same_outcomes(simulate: Simulate, seed: int) -> None:
    lines = [json.loads(line) for line in example(REQUESTS, seed)]
    for number, line in enumerate(lines):
        line["time"] = lines[0]["time"] + number * APART_S
    policy = yaml.safe_load(default_path().read_text(encoding="utf-8")) | {
        "store": {"url": "memory://"},
        "embedder": {"runtime": "hashing"},
        "judge": {"scorer": "none"},
        "evidence": {"compare": "none"},
        "http": {"details": True},
    }
    policy["defaults"] |= {
        "similarity_threshold": 0.75,
        "ttl": "20m",
        "stale_while_revalidate": "20m",
    }
    served, calls = asyncio.run(live(lines, policy))
    _, replayed, report = simulate(lines, yaml.safe_dump(policy))
    assert [shown(outcome) for outcome in replayed.outcomes] == served
    assert report.calls == calls
    kinds = Counter(one["kind"] for one in served)
    assert all(kinds[kind] for kind in (Kind.EXACT, Kind.SEMANTIC, Kind.MISS, Kind.BYPASS))
    assert any(one["stale"] for one in served)
