from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from kindcache.adapters.demo.model import DemoModel
from tests.drivers import AsgiDriver, Exchange, serve

pytestmark = pytest.mark.anyio
QUESTION: list[ChatCompletionUserMessageParam] = [
    {"role": "user", "content": "How do I reset my router to factory settings?"}
]


def fast() -> AsgiDriver:
    return AsgiDriver(DemoModel(latency_s=0, tokens_per_s=0))


def frames(exchange: Exchange) -> list[Any]:
    lines = exchange.body.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def streamed_text(exchange: Exchange) -> str:
    choices = [frame["choices"][0] for frame in frames(exchange) if frame["choices"]]
    return "".join(choice["delta"].get("content", "") for choice in choices)


class TestAnswers:
    async def test_the_openai_client_gets_the_same_answer_either_way(self) -> None:
        with serve(DemoModel(latency_s=0, tokens_per_s=0)) as server:
            async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
                whole = await client.chat.completions.create(model="any", messages=QUESTION)
                stream = await client.chat.completions.create(
                    model="any",
                    messages=QUESTION,
                    stream=True,
                    stream_options={"include_usage": True},
                )
                chunks = [chunk async for chunk in stream]
                models = await client.models.list()
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == whole.choices[0].message.content
        assert whole.choices[0].finish_reason == "stop"
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].usage == whole.usage
        assert whole.usage is not None
        assert whole.usage.completion_tokens == len(text.split())
        assert whole.usage.prompt_tokens == 9
        assert [model.id for model in models.data] == ["kindcache-demo"]

    async def test_every_answer_says_that_it_is_a_demo(self) -> None:
        answer = (await fast().chat("What is a monad?", model="gpt-5")).json()
        assert answer["model"] == "kindcache-demo"
        text = answer["choices"][0]["message"]["content"]
        assert text.startswith("[demo model] ")
        assert "What is a monad?" in text
        assert "No language model was involved" in text

    async def test_equal_prompts_get_equal_answers_and_others_do_not(self) -> None:
        async def ask(*texts: str) -> str:
            messages = [{"role": "user", "content": text} for text in texts]
            exchange = await fast().request(
                "POST", "/v1/chat/completions", json={"messages": messages}
            )
            return str(exchange.json()["choices"][0]["message"]["content"])

        assert await ask("order 17") == await ask("order 17")
        assert await ask("order 17") != await ask("order 18")
        assert await ask("hello", "order 17") != await ask("order 17")
        # A function of the text alone, in every process and on every machine.
        assert "answer 3a91476f61a43a70" in await ask("order 17")

    async def test_parts_count_as_their_text(self) -> None:
        parts = [{"type": "text", "text": "order 17"}]
        body = {"messages": [{"role": "user", "content": parts}]}
        by_parts = await fast().request("POST", "/v1/chat/completions", json=body)
        plain = await fast().chat("order 17")
        assert by_parts.json()["choices"] == plain.json()["choices"]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_token_limit_cuts(self, stream: bool) -> None:
        exchange = await fast().chat("order 17", max_tokens=5, stream=stream)
        if stream:
            assert len(streamed_text(exchange).split()) == 5
            assert frames(exchange)[-1]["choices"][0]["finish_reason"] == "length"
        else:
            choice = exchange.json()["choices"][0]
            assert len(choice["message"]["content"].split()) == 5
            assert choice["finish_reason"] == "length"

    @pytest.mark.parametrize("prompt", ["", "   ", "\ud83d", "\x00\n\x1f", "ß" * 5000])
    async def test_odd_prompts_are_answered(self, prompt: str) -> None:
        exchange = await fast().chat(prompt)
        assert exchange.status == 200
        assert exchange.json()["choices"][0]["finish_reason"] == "stop"


class TestStream:
    async def test_frames_are_well_formed(self) -> None:
        exchange = await fast().chat("order 17", stream=True)
        assert exchange.header("content-type") == "text/event-stream; charset=utf-8"
        found = frames(exchange)
        assert {frame["object"] for frame in found} == {"chat.completion.chunk"}
        assert len({frame["id"] for frame in found}) == 1
        assert found[0]["choices"][0]["delta"]["role"] == "assistant"
        assert [frame["choices"][0]["finish_reason"] for frame in found[:-1]] == [None] * (
            len(found) - 1
        )
        assert found[-1]["choices"][0] == {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": "stop",
        }
        assert all("usage" not in frame for frame in found)

    async def test_usage_comes_last_and_only_if_asked(self) -> None:
        options = {"include_usage": True}
        found = frames(await fast().chat("order 17", stream=True, stream_options=options))
        assert found[-1]["choices"] == []
        assert found[-1]["usage"]["prompt_tokens"] == 2
        assert all(frame["usage"] is None for frame in found[:-1])

    async def test_tokens_come_at_the_pace_that_was_set(self) -> None:
        driver = AsgiDriver(DemoModel(latency_s=0.2, tokens_per_s=100))
        exchange = await driver.chat("order 17", stream=True, max_tokens=21)
        times = [at for at, _ in exchange.chunks]
        started = exchange.messages[0][0]
        assert times[0] - started >= 0.19
        assert times[20] - times[0] >= 0.19
        assert len(exchange.chunks) == 23  # 21 tokens, the end, [DONE]

    async def test_a_whole_answer_takes_as_long_as_its_tokens(self) -> None:
        loop = asyncio.get_running_loop()
        driver = AsgiDriver(DemoModel(latency_s=0.1, tokens_per_s=100))
        began = loop.time()
        await driver.chat("order 17", max_tokens=11)
        assert loop.time() - began >= 0.19

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_client_that_leaves_ends_its_answer(self, stream: bool) -> None:
        before = asyncio.all_tasks()
        body = {"messages": QUESTION, "stream": stream}
        exchange = AsgiDriver(DemoModel(latency_s=3600)).start(
            "POST", "/v1/chat/completions", json=body
        )
        if stream:
            await exchange.started()
        exchange.disconnect()
        assert await exchange.ended() is None
        assert not exchange.complete
        assert asyncio.all_tasks() <= before

    async def test_being_cancelled_leaves_nothing_behind(self) -> None:
        before = asyncio.all_tasks()
        exchange = AsgiDriver(DemoModel(latency_s=3600)).start(
            "POST", "/v1/chat/completions", json={"messages": QUESTION, "stream": True}
        )
        await exchange.started()
        exchange.task.cancel()
        assert isinstance(await exchange.ended(), asyncio.CancelledError)
        assert asyncio.all_tasks() <= before


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "code", "param"),
        [
            (b"{", "invalid_json", None),
            (b"", "invalid_json", None),
            (b"\xff\xfe", "invalid_json", None),
            (b"[" * 100_000, "invalid_json", None),
            (b"[]", "invalid_type", None),
            (b"{}", "missing_required_parameter", "messages"),
            (b'{"messages": null}', "missing_required_parameter", "messages"),
            (b'{"messages": "hi"}', "invalid_type", "messages"),
            (b'{"messages": []}', "invalid_type", "messages"),
            (b'{"messages": ["hi"]}', "invalid_type", "messages[0]"),
            (
                b'{"messages": [{"role": "user", "content": 1}]}',
                "invalid_type",
                "messages[0].content",
            ),
            (b'{"messages": [{"role": "user"}], "stream": "yes"}', "invalid_type", "stream"),
            (b'{"messages": [{"role": "user"}], "max_tokens": 0}', "invalid_value", "max_tokens"),
            (b'{"messages": [{"role": "user"}], "n": 2}', "invalid_value", "n"),
        ],
    )
    async def test_bad_requests(self, body: bytes, code: str, param: str | None) -> None:
        exchange = await fast().request("POST", "/v1/chat/completions", body=body)
        assert exchange.status == 400
        error = exchange.json()["error"]
        assert (error["type"], error["code"], error["param"]) == (
            "invalid_request_error",
            code,
            param,
        )
        assert error["message"]

    async def test_a_body_over_the_limit(self) -> None:
        exchange = await fast().request("POST", "/v1/chat/completions", body=bytes(33 << 20))
        assert exchange.status == 413

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/v1/chat/completions", 405),
            ("POST", "/v1/embeddings", 404),
            ("GET", "/v1/models/other", 404),
            ("GET", "/v1/models/kindcache-demo", 200),
            ("GET", "/health", 200),
        ],
    )
    async def test_paths(self, method: str, path: str, status: int) -> None:
        exchange = await fast().request(method, path)
        assert exchange.status == status
        assert ("error" in exchange.json()) == (status >= 400)

    def test_a_negative_pace_is_refused(self) -> None:
        with pytest.raises(ValueError, match="negative"):
            DemoModel(latency_s=-1)
