"""No answer crosses from one credential to another: any index kind, any store, after a restart."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from kindcache.adapters.build import build
from kindcache.cache.asking.identity import Request
from kindcache.cache.entries.entry import Answer, Choice
from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.outcome import Found, Lead
from kindcache.cache.settling import Received, settle
from kindcache.config.load import loads
from kindcache.policies.facts import Call
from tests.drivers.cached import SECRET

pytestmark = pytest.mark.anyio

LOOKUPS = 10_000
TEXTS = [f"What is the weather like in town number {i}?" for i in range(150)]
CONFIG = """
embedder: {{runtime: hashing, dimensions: 64}}
store: {{url: "{url}", namespace: "{namespace}"}}
capacity: {{entries: 100000}}
judge: {{scorer: none}}
defaults: {{similarity_threshold: 0.5, guards: false}}
"""


def request(owner: str, prompt: str) -> Request:
    call = Call("openai.chat", "/v1", "m", prompt, stream=False, wants_usage=False, frame={})
    return Request(call, b"/v1", [(b"authorization", owner.encode())])


async def never(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no app here")


def opened(url: str, namespace: str, graph_from: int) -> Any:
    config = CONFIG.format(url=url, namespace=namespace)
    service = build(loads(config, "t"), never, upstream="u", environ=SECRET)
    service.engine.memory.table._new_index = lambda _category: CategoryIndex(
        64, graph_from=graph_from
    )
    return service


async def play(service: Any, rng: random.Random, count: int) -> tuple[int, int]:
    """Look up at random, store on a miss; return hits and answers that were another's."""
    hits = crossed = 0
    for _ in range(count):
        owner = rng.choice(["alice", "bob"])
        outcome = await service.engine.lookup(request(owner, rng.choice(TEXTS)))
        if isinstance(outcome, Found):
            hits += 1
            crossed += outcome.payload.answer.choices[0].text != owner
        elif isinstance(outcome, Lead):
            answer = Answer("m", 0, (Choice(owner, "stop"),))
            settle(service.engine, outcome, Received(answer, 200))
    return hits, crossed


async def loaded(service: Any) -> None:
    await service.lifecycle.open()
    await service.lifecycle.load()


@pytest.mark.parametrize("graph_from", [70, 100_000], ids=["graph", "flat"])
@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
async def test_identical_prompts_of_two_credentials_never_meet(
    store: str, graph_from: int, tmp_path: Path, redis_url: str
) -> None:
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/x.db", "redis": redis_url}[store]
    rng = random.Random(7)
    namespace = uuid4().hex
    service = opened(url, namespace, graph_from)
    await service.lifecycle.open()
    hits, crossed = await play(service, rng, LOOKUPS)
    await service.lifecycle.aclose()
    assert crossed == 0
    assert hits > LOOKUPS / 2

    if store != "memory":
        again = opened(url, namespace, graph_from)
        await loaded(again)
        hits, crossed = await play(again, rng, 1_000)
        await again.lifecycle.aclose()
        assert crossed == 0
        assert hits > 900
