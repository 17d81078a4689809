"""The official client, unchanged but for its ``base_url``, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.drivers import ScriptedUpstream, serve
from tests.drivers.cached import proxied

QUESTION = "How do I reverse a list in Python?"
REWORDED = "How can I reverse a list in Python?"


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    config = {
        "embedder": {"runtime": "onnx-int8"},
        "judge": {"scorer": "shipped"},
        "defaults": {"min_probability": 0.9},
    }
    with (
        ScriptedUpstream() as upstream,
        serve(proxied(upstream.base_url, config)) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="alice", max_retries=0) as client,
    ):
        yield client


def plain(client: openai.OpenAI, prompt: str, system: str) -> tuple[str, str | None, str | None]:
    raw = client.chat.completions.with_raw_response.create(
        model="test-model", messages=messages(prompt, system)
    )
    choice = raw.parse().choices[0]
    return raw.headers["x-cache-reason"], choice.message.content, choice.finish_reason


def streamed(client: openai.OpenAI, prompt: str, system: str) -> tuple[str, str | None, str | None]:
    text, finish = "", None
    with client.chat.completions.with_streaming_response.create(
        model="test-model", messages=messages(prompt, system), stream=True
    ) as raw:
        for chunk in raw.parse():
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        return raw.headers["x-cache-reason"], text, finish


def messages(prompt: str, system: str) -> Any:
    return [{"role": "system", "content": system}, {"role": "user", "content": prompt}]


@pytest.mark.parametrize("fill", [plain, streamed])
@pytest.mark.parametrize("read", [plain, streamed])
def test_miss_then_exact_hit_then_semantic_hit(client: openai.OpenAI, fill: Any, read: Any) -> None:
    system = f"{fill.__name__}-{read.__name__}"
    results = [
        fill(client, QUESTION, system),
        read(client, QUESTION, system),
        read(client, REWORDED, system),
    ]
    assert [reason for reason, _, _ in results] == ["new", "exact", "semantic"]
    assert {text for _, text, _ in results} == {f"Answer to: {QUESTION}"}
    assert {finish for _, _, finish in results} == {"stop"}
