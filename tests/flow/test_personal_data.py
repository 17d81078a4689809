"""Personal data in prompts and answers: not looked up, not stored, or not in what is stored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kindcache.cache.entries.entry import IndexRecord, Payload, decode_payload, decode_record
from kindcache.cache.stores.sqlite import SqliteStore
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, proxied
from tests.drivers.embedding_server import EmbeddingServer
from tests.drivers.replies import chat_reply

pytestmark = pytest.mark.anyio

CARD = "4111 1111 1111 1111"
OTHER_CARD = "5500 0055 5555 5559"
PROMPT = f"Is {CARD} a valid card number?"


def config(folder: Path, **defaults: Any) -> dict[str, Any]:
    return {
        "store": {"url": f"sqlite:///{folder}/kc.db"},
        "defaults": {"similarity_threshold": 0.3, "guards": False, "ttl": "1h"} | defaults,
    }


def answers(text: str) -> Any:
    return lambda seen: chat_reply(seen, text)


async def kept(folder: Path) -> list[tuple[IndexRecord, Payload]]:
    """Everything in the store."""
    store = SqliteStore(folder / "kc.db", time.time)
    await store.open()
    try:
        found = []
        async for key, record in store.records():
            payload = await store.get(key)
            assert payload is not None
            found.append((decode_record(record), decode_payload(payload)))
        return found
    finally:
        await store.aclose()


async def test_by_default_nothing_is_looked_for(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    async with AsgiDriver(proxied(upstream.base_url, config(tmp_path))) as driver:
        await driver.chat(PROMPT, headers=KEY)
        assert (await driver.chat(PROMPT, headers=KEY)).header("x-cache") == "HIT"


async def test_refuse_neither_looks_up_nor_stores(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    policy = config(tmp_path, personal_data="refuse")
    async with AsgiDriver(proxied(upstream.base_url, policy)) as driver:
        for _ in range(2):
            exchange = await driver.chat(PROMPT, headers=KEY)
            assert exchange.header("x-cache") == "BYPASS"
            assert exchange.header("x-cache-reason") == "personal_data"
            assert exchange.status == 200
        await driver.chat("Is it a valid card number?", headers=KEY)
        again = await driver.chat("Is it a valid card number?", headers=KEY)
        assert again.header("x-cache") == "HIT"
    assert len(await kept(tmp_path)) == 1


async def test_refuse_holds_for_earlier_turns_of_the_user(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    policy = config(tmp_path, personal_data="refuse")
    parts = [{"type": "text", "text": PROMPT}]
    async with AsgiDriver(proxied(upstream.base_url, policy)) as driver:
        for content, role, result in (
            (PROMPT, "user", "BYPASS"),
            (parts, "user", "BYPASS"),
            (PROMPT, "system", "MISS"),
        ):
            messages = [
                {"role": role, "content": content},
                {"role": "assistant", "content": "Noted."},
                {"role": "user", "content": "And now?"},
            ]
            exchange = await driver.chat("", headers=KEY, messages=messages)
            assert exchange.header("x-cache") == result


async def test_what_was_stored_before_is_not_served_once_it_is_refused(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, config(tmp_path))) as driver:
        await driver.chat(PROMPT, headers=KEY)
    policy = config(tmp_path, personal_data="refuse")
    async with AsgiDriver(proxied(upstream.base_url, policy)) as driver:
        assert (await driver.chat(PROMPT, headers=KEY)).header("x-cache") == "BYPASS"


@pytest.mark.parametrize("rule", ["refuse", "redact"])
async def test_an_answer_that_holds_some_is_not_stored(
    upstream: ScriptedUpstream, tmp_path: Path, rule: str
) -> None:
    """An answer with a placeholder in it would be a wrong answer."""
    upstream.script = answers(f"Use {CARD} for tests.")
    policy = config(tmp_path, personal_data=rule)
    async with AsgiDriver(proxied(upstream.base_url, policy)) as driver:
        for stream in (False, True):
            for _ in range(2):
                exchange = await driver.chat("A test card, please", headers=KEY, stream=stream)
                assert exchange.header("x-cache") == "MISS"
                assert exchange.status == 200
    assert await kept(tmp_path) == []


async def test_redact_answers_the_same_prompt_and_keeps_no_value(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.script = answers("Yes, it is.")
    policy = config(tmp_path, personal_data="redact", history="equivalent")
    async with AsgiDriver(proxied(upstream.base_url, policy)) as driver:
        first = await driver.chat(PROMPT, headers=KEY)
        again = await driver.chat(PROMPT, headers=KEY)
        other = await driver.chat(PROMPT.replace(CARD, OTHER_CARD), headers=KEY)
        words = await driver.chat(f"Please tell me: is {CARD} a valid card number?", headers=KEY)
        bob = await driver.chat(PROMPT, headers={"authorization": "Bearer bob"})
    assert first.header("x-cache-reason") == "personal_data"
    assert again.header("x-cache-tier") == "exact"
    assert again.json()["choices"][0]["message"]["content"] == "Yes, it is."
    for exchange in (other, words, bob):
        assert exchange.header("x-cache") == "MISS"
    entries = await kept(tmp_path)
    assert len(entries) == 4
    for record, payload in entries:
        assert record.prompt == payload.prompt
        assert "[CARD]" in record.prompt
        assert not any(character.isdigit() for character in record.prompt)
        assert record.vector == b""
        assert record.turns == ()


async def test_redact_is_warm_after_a_restart(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    policy = config(tmp_path, personal_data="redact")
    upstream.script = answers("Yes, it is.")
    async with AsgiDriver(proxied(upstream.base_url, policy)) as driver:
        await driver.chat(PROMPT, headers=KEY)
    async with AsgiDriver(proxied(upstream.base_url, policy)) as driver:
        assert (await driver.chat(PROMPT, headers=KEY)).header("x-cache") == "HIT"


async def test_each_category_says_for_itself(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script = answers("Yes.")
    policy = config(tmp_path, personal_kinds=["secret"], personal_data="refuse") | {
        "categories": {
            "billing": {
                "match": {"pattern": "(?i)bill"},
                "personal_data": "redact",
                "personal_kinds": ["card"],
            },
            "free": {"match": {"pattern": "(?i)free"}, "personal_data": "allow"},
        }
    }
    asked = {
        "bill for AKIAIOSFODNN7EXAMPLE": "new",
        f"bill for {CARD}": "personal_data",
        f"card {CARD}": "new",
        "free AKIAIOSFODNN7EXAMPLE": "new",
        "key AKIAIOSFODNN7EXAMPLE": "personal_data",
    }
    async with AsgiDriver(proxied(upstream.base_url, policy)) as driver:
        for prompt, reason in asked.items():
            exchange = await driver.chat(prompt, headers=KEY, max_tokens=len(prompt))
            assert exchange.header("x-cache-reason") == reason, prompt
            assert exchange.header("x-cache") == ("BYPASS" if "key" in prompt else "MISS")


async def test_what_every_category_refuses_does_not_even_reach_the_embedder(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    server = EmbeddingServer(dim=8)
    await server.start()
    embedder = {"runtime": "remote", "url": server.url, "model": "m", "window": 256}
    policy = config(tmp_path, personal_data="refuse")
    policy |= {"embedder": embedder | {"dimensions": 8}}
    async with AsgiDriver(proxied(upstream.base_url, policy)) as driver:
        await driver.chat("Hello", headers=KEY)
        before = len(server.requests)
        await driver.chat(PROMPT, headers=KEY)
        assert before
        assert len(server.requests) == before
    await server.stop()
