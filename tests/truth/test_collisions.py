"""Prompts made to answer for others: how many are told, and that none answers for its victim."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.build import build
from kindcache.cache.embedders.batching import Batcher
from kindcache.cache.engine import Engine
from kindcache.cache.outcome import Found
from kindcache.cache.ports import EntryKey
from kindcache.cache.settling import release, settle
from kindcache.config.load import loads
from kindcache.policies.facts import Directives
from tests.cache.small_engine import leading, received, request
from tests.conftest import FakeClock
from tests.drivers import models
from tests.drivers.cached import SECRET

pytestmark = pytest.mark.anyio

ATTACKS = [
    json.loads(line)
    for line in Path(__file__).with_name("collisions.jsonl").read_text().splitlines()
]
VICTIMS = sorted({attack["victim"] for attack in ATTACKS})
LEAST_TOLD = 0.8  # of all; the bars were chosen with these prompts at hand

CONFIG = """
store: {{url: "memory://"}}
judge: {{deadline: 30s}}
defaults: {{ttl: 1h, poisoning_check: {check}}}
"""


async def no_app(_scope: Any, _receive: Any, _send: Any) -> None:
    raise AssertionError


@asynccontextmanager
async def running(clock: FakeClock, *, check: bool) -> AsyncIterator[Engine]:
    settings = loads(CONFIG.format(check=str(check).lower()), "test.yaml")
    embedder = Batcher(models.onnx_int8, deadline_s=30.0, batch=1)
    service = build(settings, no_app, upstream="u", environ=SECRET, clock=clock, embedder=embedder)
    await service.lifecycle.open()
    yield service.engine
    await service.lifecycle.aclose()


async def stored(engine: Engine, prompt: str) -> EntryKey:
    """Have the model answer ``prompt``, whatever stands near it."""
    asked = request(prompt, directives=Directives(no_cache=True))
    lead = await leading(engine, asked)
    settle(engine, lead, received(prompt))
    await engine.screening.drain()
    await engine.memory.writer.drain()
    return lead.ask.key


def test_there_are_many_of_many_kinds_and_none_stands_twice() -> None:
    assert len(ATTACKS) >= 60
    assert len({attack["prompt"] for attack in ATTACKS}) == len(ATTACKS)
    assert min(Counter(attack["kind"] for attack in ATTACKS).values()) >= 3
    assert all(attack["victim"] != attack["prompt"] for attack in ATTACKS)


async def test_most_are_told_beside_their_victims(clock: FakeClock) -> None:
    async with running(clock, check=True) as engine:
        for victim in VICTIMS:
            await stored(engine, victim)
        untold = []
        for attack in ATTACKS:
            key = await stored(engine, attack["prompt"])
            entry = engine.memory.table.get(key)
            assert entry is not None
            if entry.indexed:
                untold.append(attack["id"])
            engine.memory.remove([key], "purged")
    assert len(untold) <= (1 - LEAST_TOLD) * len(ATTACKS), untold


async def test_none_answers_for_its_victim_even_without_the_check(clock: FakeClock) -> None:
    served = []
    async with running(clock, check=False) as engine:
        for attack in ATTACKS:
            key = await stored(engine, attack["prompt"])
            outcome = await engine.lookup(request(attack["victim"]))
            if isinstance(outcome, Found):
                served.append(attack["id"])
            else:
                release(engine, outcome)  # type: ignore[arg-type]
            engine.memory.remove([key], "purged")
    assert served == []
