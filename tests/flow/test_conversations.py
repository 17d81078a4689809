"""Conversations through HTTP: exact as shipped, in other words where a category says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.asgi import Exchange
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio

FIRST, FIRST_AGAIN = "How do I reverse a list in Python?", "How can I reverse a list in Python?"
NEXT, NEXT_AGAIN = "How do I sort a list in Python?", "How can I sort a list in Python?"


def config(history: str, **more: Any) -> dict[str, Any]:
    return {
        "embedder": {"runtime": "onnx-int8"},
        "judge": {"scorer": "shipped"},
        "defaults": {"min_probability": 0.8, "history": history},
        **more,
    }


def said(exchange: Exchange) -> str:
    return str(exchange.json()["choices"][0]["message"]["content"])


async def talk(driver: AsgiDriver, first: str, then: str, headers: Any = KEY) -> list[Exchange]:
    """Hold a conversation of two questions, each after the answer that came."""
    one = await driver.chat(first, headers=headers)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": first},
        {"role": "assistant", "content": said(one)},
        {"role": "user", "content": then},
    ]
    return [one, await driver.chat(then, headers=headers, messages=messages)]


def reasons(exchanges: list[Exchange]) -> list[str | None]:
    return [exchange.header("x-cache-reason") for exchange in exchanges]


@pytest.mark.parametrize(
    ("history", "expected"),
    [("exact", ["semantic", "new"]), ("equivalent", ["semantic", "semantic"])],
)
async def test_a_conversation_in_other_words(
    history: str, expected: list[str], upstream: ScriptedUpstream
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, config(history))) as driver:
        stored = await talk(driver, FIRST, NEXT)
        again = await talk(driver, FIRST_AGAIN, NEXT_AGAIN)
    assert reasons(stored) == ["new", "new"]
    assert reasons(again) == expected
    assert (said(again[1]) == said(stored[1])) == (history == "equivalent")


@pytest.mark.parametrize("other", ["How do I reverse 2 lists in Python?", "What is a list?", "Yes"])
async def test_a_conversation_about_something_else_gets_its_own_answer(
    other: str, upstream: ScriptedUpstream
) -> None:
    def history(first: str) -> list[dict[str, str]]:
        return [
            {"role": "user", "content": first},
            {"role": "assistant", "content": "Like this."},
            {"role": "user", "content": NEXT},
        ]

    async with AsgiDriver(proxied(upstream.base_url, config("equivalent"))) as driver:
        await driver.chat(NEXT, headers=KEY, messages=history(FIRST))
        served = await driver.chat(NEXT, headers=KEY, messages=history(other))
        assert served.header("x-cache") == "MISS"
        assert served.header("x-cache-reason") in {"history", "unsure"}
    assert upstream.count == 2


async def test_no_conversation_crosses_to_another_credential(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url, config("equivalent"))) as driver:
        await talk(driver, FIRST, NEXT)
        bob = await talk(driver, FIRST_AGAIN, NEXT_AGAIN, {"authorization": "Bearer bob"})
    assert reasons(bob) == ["new", "new"]
    assert upstream.count == 4


async def test_conversations_survive_a_restart(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    settings = config("equivalent", store={"url": f"sqlite:///{tmp_path}/kc.db"})
    async with AsgiDriver(proxied(upstream.base_url, settings)) as driver:
        stored = await talk(driver, FIRST, NEXT)
    app = proxied(upstream.base_url, settings)
    async with AsgiDriver(app) as driver:
        await app.service.lifecycle.load()
        again = await talk(driver, FIRST_AGAIN, NEXT_AGAIN)
    assert reasons(again) == ["semantic", "semantic"]
    assert said(again[1]) == said(stored[1])
