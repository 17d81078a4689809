from __future__ import annotations

import json
from typing import Any

import pytest

from kindcache.adapters.dialects.dialect import Unstorable
from kindcache.adapters.dialects.openai_chat import OpenAIChat
from kindcache.cache.entries.entry import Answer, Choice, ToolCall, encode
from kindcache.policies.verdict import Reason

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
DONE = b"data: [DONE]\n\n"
FULL_LIMIT = 1 << 20


def piece(delta: Any, finish: Any = None, index: Any = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish, **more}


def chunk(*choices: Any, **more: Any) -> bytes:
    return b"data: " + json.dumps({**HEAD, "choices": choices, **more}).encode() + b"\n\n"


def streamed(*frames: bytes, limit: int = FULL_LIMIT) -> Answer | Unstorable:
    recorder = OpenAIChat().recorder(stream=True, limit_bytes=limit)
    for frame in frames:
        recorder.feed(frame)
    return recorder.finish()


def whole(body: dict[str, Any] | bytes, limit: int = FULL_LIMIT) -> Answer | Unstorable:
    recorder = OpenAIChat().recorder(stream=False, limit_bytes=limit)
    recorder.feed(body if isinstance(body, bytes) else json.dumps(body).encode())
    return recorder.finish()


def completion(message: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish, **more.pop("choice", {})}
    return {**HEAD, "object": "chat.completion", "choices": [choice], **more}


SAID = {"role": "assistant", "content": "Hi"}
HI = Answer("m", 1, (Choice("Hi", "stop"),))


def test_reads_a_plain_stream() -> None:
    assert streamed(chunk(piece(SAID)), chunk(piece({}, "stop")), DONE) == HI
    assert whole(completion(SAID)) == HI


def test_choices_are_ordered_by_index() -> None:
    found = streamed(
        chunk(piece({"content": "b"}, index=1)),
        chunk(piece({"content": "a"}), piece({"content": "B"}, index=1)),
        chunk(piece({}, "stop", index=1)),
        chunk(piece({"content": "A"}, "stop")),
        DONE,
    )

    assert found == Answer("m", 1, (Choice("aA", "stop"), Choice("bB", "stop")))


def test_no_text_is_not_empty_text() -> None:
    tool = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    calls = (ToolCall("c", "f", "{}"),)
    for text in (None, ""):
        expected = Answer("m", 1, (Choice(text, "tool_calls", calls),))
        message = {"role": "assistant", "content": text, "tool_calls": [tool]}
        assert whole(completion(message, "tool_calls")) == expected
        assert streamed(chunk(piece(message, "tool_calls")), DONE) == expected


def test_usage_of_the_last_chunk_counts() -> None:
    found = streamed(
        chunk(piece(SAID), usage={"total_tokens": 1}),
        chunk(piece({}, "stop"), usage=None),
        chunk(usage={"total_tokens": 5}),
        DONE,
    )

    assert isinstance(found, Answer)
    assert found.usage == {"total_tokens": 5}


def test_chunk_without_content_or_choices_is_harmless() -> None:
    found = streamed(
        chunk(piece(SAID)),
        chunk({"index": 0, "finish_reason": None, "content_filter_offsets": {"end_offset": 1}}),
        b'data: {"id":"chatcmpl-1","choices":null}\n\n',
        chunk(piece(None, "stop")),
        DONE,
    )

    assert found == HI


def test_azure_head_is_taken_from_the_first_real_chunk() -> None:
    found = streamed(
        chunk(model="", created=0, prompt_filter_results=[{"prompt_index": 0}]),
        chunk(piece(SAID, content_filter_results={"hate": {"filtered": False}})),
        chunk(piece({}, "stop")),
        DONE,
    )

    assert found == HI


def test_both_reasoning_names_with_one_text_are_kept() -> None:
    message = {**SAID, "reasoning": "so", "reasoning_content": "so"}

    found = whole(completion(message))

    assert isinstance(found, Answer)
    assert found.choices[0].reasoning == "so"
    assert found.choices[0].reasoning_field == "reasoning,reasoning_content"
    assert streamed(chunk(piece(message, "stop")), DONE) == found


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n\r\n"])
def test_stream_may_end_without_the_empty_line(end: bytes) -> None:
    assert streamed(chunk(piece(SAID, "stop")), end) == HI


def test_what_follows_the_end_is_ignored() -> None:
    assert streamed(chunk(piece(SAID, "stop")), DONE, chunk(piece({"content": "!"}))) == HI
    assert streamed(chunk(piece(SAID, "stop")) + DONE + b"data: {\n\n") == HI


@pytest.mark.parametrize(
    "more",
    [
        {"service_tier": "default"},
        {"obfuscation": "aXz"},
        {"provider": "x"},
        {"x_groq": {"id": "req_1"}},
        {"timings": {"prompt_ms": 1.5}},
        {"kv_transfer_params": None},
        {"prompt_logprobs": None},
        {"citations": []},
    ],
)
def test_fields_about_serving_are_dropped(more: dict[str, Any]) -> None:
    assert whole(completion(SAID, **more)) == HI
    assert streamed(chunk(piece(SAID, "stop"), **more), DONE) == HI


@pytest.mark.parametrize(
    "more",
    [
        {"logprobs": None},
        {"logprobs": {"content": None, "refusal": []}},
        {"stop_reason": 128009},
        {"token_ids": None},
        {"native_finish_reason": "STOP"},
    ],
)
def test_choice_fields_about_serving_are_dropped(more: dict[str, Any]) -> None:
    assert whole(completion(SAID, choice=more)) == HI
    assert streamed(chunk(piece(SAID, "stop", **more)), DONE) == HI


TOOL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}


@pytest.mark.parametrize(
    "delta",
    [
        {"role": "user"},
        {"content": [{"type": "text", "text": "Hi"}]},
        {"audio": {"id": "a"}},
        {"annotations": [{"type": "url_citation"}]},
        {"function_call": {"name": "f", "arguments": "{}"}},
        {"reasoning": {"text": "so"}},
        {"reasoning": "so", "reasoning_content": "thus"},
        {"reasoning_details": [{"type": "reasoning.encrypted"}]},
        {"vendor_field": 0},
        {"refusal": 1},
        {"tool_calls": {}},
        {"tool_calls": ["f"]},
        {"tool_calls": [{**TOOL, "index": 1}]},
        {"tool_calls": [{**TOOL, "index": True}]},
        {"tool_calls": [{**TOOL, "type": "custom"}]},
        {"tool_calls": [{**TOOL, "id": None}]},
        {"tool_calls": [{**TOOL, "extra_content": {"google": {"thought_signature": "x"}}}]},
        {"tool_calls": [{**TOOL, "function": None}]},
        {"tool_calls": [{**TOOL, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{**TOOL, "function": {"name": "f", "arguments": None}}, {"index": 2}]},
        {"tool_calls": [{**TOOL, "function": {"name": "f", "arguments": {}}}]},
        {"tool_calls": [TOOL, {**TOOL, "id": "d"}]},
        "Hi",
    ],
)
def test_what_cannot_be_expressed_is_not_stored(delta: Any) -> None:
    found = streamed(chunk(piece(delta)), chunk(piece({"content": "Hi"}, "stop")), DONE)

    assert found == Unstorable(Reason.UNSUPPORTED)


@pytest.mark.parametrize(
    "message",
    [
        {**SAID, "audio": {"id": "a"}},
        {**SAID, "annotations": [{"type": "url_citation"}]},
        {**SAID, "function_call": {"name": "f", "arguments": "{}"}},
        {**SAID, "vendor_field": False},
    ],
)
def test_message_that_cannot_be_expressed_is_not_stored(message: Any) -> None:
    assert whole(completion(message)) == Unstorable(Reason.UNSUPPORTED)


@pytest.mark.parametrize(
    "more",
    [
        {"citations": ["https://example.org"]},
        {"moderation": {"input": {"type": "moderation_results"}}},
        {"kv_transfer_params": {"remote": 1}},
        {"usage": 5},
        {"usage": {"total_tokens": 2**70}},
        {"choices": [piece(SAID, "stop", index=1)]},
        {"choices": [piece(SAID, "stop", index=-1)]},
        {"choices": [piece(SAID, "stop", index="0")]},
        {"choices": [piece(SAID, "stop", index=10**9)]},
        {"choices": [piece(SAID, "stop", logprobs={"content": [{"token": "Hi"}]})]},
        {"choices": [piece(SAID, "stop", message={"content": "Hi"})]},
        {"choices": [piece(SAID, "stop"), piece({}, "tool_calls")]},
        {"choices": [piece(SAID, "tool_calls")]},
        {"choices": [piece(SAID, "function_call")]},
        {"choices": {"0": 1}},
        {"choices": ["Hi"]},
        {"model": 5},
    ],
)
def test_chunk_that_cannot_be_expressed_is_not_stored(more: dict[str, Any]) -> None:
    wire = {**HEAD, "choices": [piece(SAID, "stop")], **more}

    found = streamed(b"data: " + json.dumps(wire).encode() + b"\n\n", DONE)

    assert found == Unstorable(Reason.UNSUPPORTED)


@pytest.mark.parametrize("finish", ["length", "content_filter", "model_length", "error"])
def test_only_finished_answers_are_stored(finish: str) -> None:
    assert whole(completion(SAID, finish)) == Unstorable(Reason.FINISH_REASON)
    assert streamed(chunk(piece(SAID, finish)), DONE) == Unstorable(Reason.FINISH_REASON)


@pytest.mark.parametrize(
    "frames",
    [
        [chunk(piece(SAID, "stop"))],
        [chunk(piece(SAID)), DONE],
        [chunk(piece(SAID, "")), DONE],
        [chunk(piece(SAID, "stop"), piece(SAID, index=1)), DONE],
        [chunk(piece(SAID)), b'data: {"error":{"message":"overloaded"}}\n\n', DONE],
        [chunk(piece(SAID, "stop")), chunk(error={"message": "late"}), DONE],
        [chunk(piece(SAID, "stop")), b"event: error\ndata: {}\n\n", DONE],
        [chunk(piece(SAID, "stop"), x_groq={"error": "over capacity"}), DONE],
        [chunk(piece(SAID, "stop")), b"data: {\n\n", DONE],
        [chunk(piece(SAID, "stop")), b"data: 5\n\n", DONE],
        [chunk(piece(SAID, "stop")), b"data:\n\n", DONE],
        [chunk(piece(SAID, "stop")), b"data: \xff\n\n", DONE],
    ],
)
def test_incomplete_stream_is_not_stored(frames: list[bytes]) -> None:
    assert streamed(*frames) == Unstorable(Reason.INCOMPLETE)


@pytest.mark.parametrize(
    "body",
    [
        b"<html></html>",
        b'{"detail":"Not Found"}',
        b'{"error":{"message":"overloaded"}}',
        json.dumps(completion(SAID, error={"message": "x"})).encode(),
        json.dumps(completion(SAID, None)).encode(),
        b"{}",
    ],
)
def test_incomplete_body_is_not_stored(body: bytes) -> None:
    assert whole(body) == Unstorable(Reason.INCOMPLETE)


@pytest.mark.parametrize("message", [{}, {"content": ""}, {"content": None, "refusal": ""}])
def test_empty_answer_is_not_stored(message: dict[str, Any]) -> None:
    assert whole(completion(message)) == Unstorable(Reason.EMPTY)
    assert streamed(chunk(piece(message, "stop")), DONE) == Unstorable(Reason.EMPTY)
    both = chunk(piece(SAID, "stop"), piece(message, "stop", index=1))
    assert streamed(both, DONE) == Unstorable(Reason.EMPTY)


def test_no_choices_is_an_empty_answer() -> None:
    assert streamed(chunk(), DONE) == Unstorable(Reason.EMPTY)
    assert whole({**HEAD, "choices": []}) == Unstorable(Reason.EMPTY)


def test_limit_counts_the_text_not_its_wrapping() -> None:
    frames = [chunk(piece({"content": "é"})) for _ in range(500)]
    end = chunk(piece({}, "stop"))

    assert isinstance(streamed(*frames, end, DONE, limit=1000), Answer)
    assert streamed(*frames, end, DONE, limit=999) == Unstorable(Reason.TOO_LARGE)


def test_line_without_end_is_too_large() -> None:
    assert streamed(*[b"x" * 1000] * 100, limit=1000) == Unstorable(Reason.TOO_LARGE)


def test_body_over_the_limit_is_too_large() -> None:
    body = json.dumps(completion(SAID)).encode()

    assert whole(body, limit=len(body)) == HI
    assert whole(body, limit=len(body) - 1) == Unstorable(Reason.TOO_LARGE)


def test_odd_numbers_do_not_stop_the_store_from_encoding() -> None:
    from kindcache.cache.entries.entry import Payload

    for created in (2**70, -1, "now", None, 1.5):
        found = whole(completion(SAID, created=created, usage={"total_tokens": 2**64 - 1}))
        assert isinstance(found, Answer)
        assert encode(Payload(found, "code", "Hi?", 1.0, "openai.chat"))
