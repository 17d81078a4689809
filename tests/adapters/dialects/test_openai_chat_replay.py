from __future__ import annotations

import json
from typing import Any

import pytest

from kindcache.adapters.dialects.openai_chat import OpenAIChat
from kindcache.cache.entries.entry import Answer, Choice, ToolCall

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
ANSWER = Answer("m-1", 1_700_000_000, (Choice("Hi there", "stop"),), USAGE, "fp_1")
CALLING = Answer("m-1", 5, (Choice(None, "tool_calls", (ToolCall("call_a", "f", '{"x":1}'),)),))


def chunks(answer: Answer, *, usage: bool = False) -> list[dict[str, Any]]:
    frames = OpenAIChat().frames(answer, usage=usage)
    assert frames[-1] == b"data: [DONE]\n\n"
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]


def body(answer: Answer) -> Any:
    return json.loads(OpenAIChat().body(answer))


def test_body_is_a_completion() -> None:
    found = body(ANSWER)

    assert found.pop("id").startswith("chatcmpl-")
    assert found == {
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m-1",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }


def test_unknown_things_are_left_out() -> None:
    assert not body(CALLING).keys() & {"usage", "system_fingerprint"}
    assert not chunks(CALLING, usage=True)[0].keys() & {"usage", "system_fingerprint"}


def test_body_calls_tools() -> None:
    message = body(CALLING)["choices"][0]["message"]

    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    ]


def test_stream_opens_with_the_role_and_closes_with_the_finish_reason() -> None:
    found = chunks(ANSWER)

    assert [chunk["choices"][0]["delta"] for chunk in found] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hi there"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, None, "stop"]
    assert {chunk["object"] for chunk in found} == {"chat.completion.chunk"}
    assert {chunk["created"] for chunk in found} == {1_700_000_000}
    assert len({chunk["id"] for chunk in found}) == 1


def test_usage_comes_last_and_only_if_asked() -> None:
    assert not any("usage" in chunk for chunk in chunks(ANSWER))

    *others, last = chunks(ANSWER, usage=True)

    assert last["choices"] == []
    assert last["usage"] == USAGE
    assert all(chunk["usage"] is None for chunk in others)


def test_stream_of_several_choices_finishes_each() -> None:
    answer = Answer("m", 1, (Choice("a", "stop"), Choice("b", "stop")))

    ends = [
        (choice["index"], choice["finish_reason"])
        for chunk in chunks(answer)
        for choice in chunk["choices"]
        if choice["finish_reason"]
    ]

    assert ends == [(0, "stop"), (1, "stop")]


def test_long_tool_arguments_come_in_pieces_under_one_index() -> None:
    call = ToolCall("call_a", "f", "x" * 10_000)
    found = chunks(Answer("m", 1, (Choice(None, "tool_calls", (call,)),)))

    pieces = [
        tool
        for chunk in found
        for choice in chunk["choices"]
        for tool in choice["delta"].get("tool_calls", [])
    ]

    assert [piece.get("id") for piece in pieces] == ["call_a", None, None]
    assert {piece["index"] for piece in pieces} == {0}
    assert "".join(piece["function"]["arguments"] for piece in pieces) == call.arguments


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("reasoning", {"reasoning"}),
        ("reasoning_content", {"reasoning_content"}),
        ("reasoning,reasoning_content", {"reasoning", "reasoning_content"}),
    ],
)
def test_reasoning_comes_under_its_own_name(field: str, names: set[str]) -> None:
    answer = Answer("m", 1, (Choice("4", "stop", reasoning="2+2", reasoning_field=field),))

    message = body(answer)["choices"][0]["message"]
    delta = chunks(answer)[1]["choices"][0]["delta"]

    assert {name for name in message if message[name] == "2+2"} == names
    assert delta == dict.fromkeys(names, "2+2")


def test_error_has_the_shape_that_clients_read() -> None:
    error = OpenAIChat().error("too slow", kind="server_error", code="timeout")

    assert json.loads(error) == {
        "error": {"message": "too slow", "type": "server_error", "param": None, "code": "timeout"}
    }
