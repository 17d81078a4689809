"""Replays, read by the official client from a real server on a free port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import openai
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from kindcache.adapters.dialects.openai_chat import OpenAIChat
from kindcache.cache.entries.entry import Answer, Choice, ToolCall

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 0},
}
ANSWERS = {
    "text": Answer("text", 1_700_000_000, (Choice("Grüße 🌍", "stop"),), USAGE, "fp_1"),
    "choices": Answer("choices", 1, (Choice("a", "stop"), Choice("b", "stop")), USAGE),
    "refusal": Answer("refusal", 1, (Choice(None, "stop", refusal="No."),), USAGE),
    "tools": Answer(
        "tools",
        1,
        (
            Choice(
                None,
                "tool_calls",
                (ToolCall("call_a", "weather", '{"city":"Oslo"}'), ToolCall("call_b", "now", "")),
            ),
        ),
        USAGE,
    ),
    "unmetered": Answer("unmetered", 1, (Choice("Hi", "stop"),)),
}


async def replay(request: Request) -> Response:
    """Answer with the answer that the model's name names."""
    dialect = OpenAIChat()
    call = dialect.parse(request.url.path, await request.body()).call
    if call.model not in ANSWERS:
        error = dialect.error("no such model", kind="invalid_request_error", code="missing")
        return Response(error, 404, media_type="application/json")
    answer = ANSWERS[call.model]
    if call.stream:
        frames = dialect.frames(answer, usage=call.wants_usage)
        return StreamingResponse(iter(frames), media_type="text/event-stream")
    return Response(dialect.body(answer), media_type="application/json")


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    app = Starlette(routes=[Route("/v1/chat/completions", replay, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with openai.OpenAI(base_url=url, api_key="k", max_retries=0, timeout=10) as found:
                yield found
        finally:
            server.should_exit = True
            thread.join(timeout=10)


@pytest.mark.parametrize("name", ANSWERS)
def test_client_reads_the_body(client: openai.OpenAI, name: str) -> None:
    answer = ANSWERS[name]

    found = client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": "Hi?"}]
    )

    assert found.created == answer.created
    assert found.system_fingerprint == answer.system_fingerprint
    assert (found.usage and found.usage.to_dict()) == answer.usage
    for read, choice in zip(found.choices, answer.choices, strict=True):
        assert read.finish_reason == choice.finish_reason
        assert read.message.content == choice.text
        assert read.message.refusal == choice.refusal
        called = [
            ToolCall(call.id, call.function.name, call.function.arguments)
            for call in read.message.tool_calls or []
            if call.type == "function"
        ]
        assert tuple(called) == choice.tool_calls


@pytest.mark.parametrize("name", ANSWERS)
def test_client_accumulates_the_stream(client: openai.OpenAI, name: str) -> None:
    answer = ANSWERS[name]

    with client.chat.completions.stream(
        model=name,
        messages=[{"role": "user", "content": "Hi?"}],
        stream_options={"include_usage": True},
    ) as stream:
        found = stream.get_final_completion()

    assert (found.usage and found.usage.to_dict()) == answer.usage
    for read, choice in zip(found.choices, answer.choices, strict=True):
        assert read.finish_reason == choice.finish_reason
        assert read.message.content == choice.text
        assert read.message.refusal == choice.refusal
        called = [
            ToolCall(call.id or "", call.function.name, call.function.arguments)
            for call in read.message.tool_calls or []
        ]
        assert tuple(called) == choice.tool_calls


def test_client_gets_the_usage_chunk_only_if_it_asks(client: openai.OpenAI) -> None:
    for asked in (True, False):
        stream = client.chat.completions.create(
            model="text",
            messages=[{"role": "user", "content": "Hi?"}],
            stream=True,
            stream_options={"include_usage": asked},
        )
        usages = [chunk.usage for chunk in stream]
        assert bool(usages[-1]) is asked
        assert not any(usages[:-1])


def test_client_raises_the_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(
            model="absent", messages=[{"role": "user", "content": "Hi?"}]
        )

    assert caught.value.code == "missing"
    assert "no such model" in caught.value.message
