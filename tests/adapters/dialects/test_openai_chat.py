from __future__ import annotations

import json
from typing import Any

import pytest

from kindcache.adapters.dialects.dialect import Parsed, Unparsable
from kindcache.adapters.dialects.openai_chat import OpenAIChat
from kindcache.policies.facts import Call, Directives

USER = {"role": "user", "content": "Hello?"}
REQUEST: dict[str, Any] = {
    "model": "m-1",
    "messages": [{"role": "system", "content": "Be brief."}, USER],
}


def parse(body: dict[str, Any] | bytes) -> Parsed:
    wire = body if isinstance(body, bytes) else json.dumps(body).encode()
    return OpenAIChat().parse("/v1/chat/completions", wire)


def call(**changes: Any) -> Call:
    return parse({**REQUEST, **changes}).call


def frame(**changes: Any) -> dict[str, Any]:
    return dict(call(**changes).frame)


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": True},
        {"stream": None},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"metadata": {"team": "a"}},
        {"store": True},
        {"service_tier": "flex"},
        {"prompt_cache_key": "k"},
        {"prompt_cache_retention": "24h"},
        {"n": 1},
        {"user": "alice"},
        {"safety_identifier": "a1"},
        {"cache": {"ttl": 5}},
        {"cache": None},
        {"temperature": None},
        {"tools": None},
        {"messages": [REQUEST["messages"][0], {"role": "user", "content": "Another question"}]},
        {
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "content": [{"text": "Hello?", "type": "text"}]},
            ]
        },
    ],
)
def test_what_cannot_change_the_answer_is_not_in_the_frame(changes: dict[str, Any]) -> None:
    assert frame(**changes) == frame()


def messages(*changed: dict[str, Any]) -> list[dict[str, Any]]:
    return [REQUEST["messages"][0], *changed]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "m-2"},
        {"n": 2},
        {"temperature": 1},
        {"top_p": 1},
        {"max_tokens": 5},
        {"seed": 0},
        {"stop": ["x"]},
        {"logprobs": True},
        {"modalities": ["text", "audio"]},
        {"web_search_options": {}},
        {"prediction": {"type": "content", "content": "x"}},
        {"response_format": {"type": "json_object"}},
        {"tools": []},
        {"reasoning_effort": "low"},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"user": 5},
        {"cache": True},
        {"messages": [{"role": "system", "content": "Be long."}, USER]},
        {"messages": [USER]},
        {"messages": messages({**USER, "name": "alice"})},
        {"messages": messages(USER, {"role": "assistant", "content": "Hi"}, USER)},
        {"messages": messages({"role": "developer", "content": "Hello?"})},
        {"messages": messages({"role": "user", "content": None})},
        {
            "messages": messages(
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Hello?", "cache_control": {"type": "ephemeral"}}
                    ],
                }
            )
        },
    ],
)
def test_what_may_change_the_answer_is_in_the_frame(changes: dict[str, Any]) -> None:
    assert frame(**changes) != frame()


@pytest.mark.parametrize(
    "last",
    [
        {"role": "assistant", "content": "Hello?"},
        {"role": "tool", "content": "42", "tool_call_id": "c"},
        {"role": "user", "content": None},
        {"role": "user"},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
        {"role": "user", "content": [{"type": "text", "text": 5}]},
        {"role": "user", "content": ["Hello?"]},
    ],
)
def test_last_message_that_is_not_plain_user_text_stays_whole(last: dict[str, Any]) -> None:
    found = call(messages=messages(last))

    assert not found.ends_with_user_text
    assert found.prompt == ""
    assert found.frame["messages"][-1] == last


def test_empty_user_text_is_user_text() -> None:
    found = call(messages=messages({"role": "user", "content": ""}))

    assert found.ends_with_user_text
    assert found.frame == frame()


def test_no_request_can_hold_the_marker() -> None:
    marker = frame()["messages"][-1]["content"]

    with pytest.raises(Unparsable):
        call(messages=messages({"role": "user", "content": marker}))
    assert frame(messages=messages({"role": "user", "content": json.dumps(marker)})) == frame()


def test_earlier_parts_are_not_folded_together() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    earlier = {"role": "user", "content": parts}

    assert call(messages=[earlier, USER]).frame["messages"][0] == earlier


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": None},
        {"messages": []},
        {"messages": "Hello?"},
        {"messages": ["Hello?"]},
        {"messages": [{"content": "Hello?"}]},
        {"messages": [{"role": 1, "content": "Hello?"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "assistant", "content": {}}, USER]},
        {"model": 5},
        {"stream": 1},
        {"stream": "true"},
        {"stream": True, "stream_options": "usage"},
        {"stream": True, "stream_options": {"include_usage": 1}},
        {"n": 0},
        {"n": 1.0},
        {"n": True},
        {"n": "2"},
        {"temperature": "0.2"},
        {"temperature": True},
        {"temperature": 10**400},
    ],
)
def test_wrong_types_are_left_to_the_upstream(changes: dict[str, Any]) -> None:
    with pytest.raises(Unparsable):
        call(**changes)


def test_repeated_keys_are_left_to_the_upstream() -> None:
    with pytest.raises(Unparsable):
        parse(b'{"model":"a","messages":[{"role":"user","content":"x"}],"model":"b"}')


def test_errors_do_not_quote_the_prompt() -> None:
    with pytest.raises(Unparsable) as caught:
        parse(b'{"messages":[{"role":"user","content":"my secret"}],"n":"my secret"}')

    assert "secret" not in str(caught.value)


def test_model_may_be_absent() -> None:
    found = parse({"messages": [USER]}).call

    assert found.model == ""
    assert "model" not in found.frame


@pytest.mark.parametrize(
    ("changes", "streams", "wants_usage"),
    [
        ({}, False, False),
        ({"stream": True}, True, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, True, True),
        ({"stream": True, "stream_options": {"include_usage": None}}, True, False),
        ({"stream": False, "stream_options": {"include_usage": True}}, False, False),
    ],
)
def test_how_the_caller_wants_it(changes: dict[str, Any], streams: bool, wants_usage: bool) -> None:
    found = call(**changes)

    assert (found.stream, found.wants_usage) == (streams, wants_usage)


@pytest.mark.parametrize(
    ("changes", "has_tools"),
    [
        ({}, False),
        ({"tools": []}, False),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, True),
        ({"functions": [{"name": "f"}]}, True),
        ({"tool_choice": "none"}, True),
    ],
)
def test_tools_are_seen(changes: dict[str, Any], has_tools: bool) -> None:
    assert call(**changes).has_tools is has_tools


def test_sampling_is_seen() -> None:
    found = call(n=3, temperature=1, seed=0)

    assert (found.choices, found.temperature, found.seeded) == (3, 1.0, True)
    assert (call().choices, call().temperature, call().seeded) == (1, None, False)


def test_metadata_keeps_strings_only() -> None:
    assert call(metadata={"team": "a", "n": 5, "x": None}).metadata == {"team": "a"}
    assert call(metadata="a").metadata == {}


def test_users_stand_apart() -> None:
    pairs = [
        {},
        {"user": "a"},
        {"user": "b"},
        {"user": "a", "safety_identifier": "b"},
        {"user": "b", "safety_identifier": "a"},
        {"user": "ab"},
        {"user": '\0["a","b"]'},
        {"safety_identifier": '\0["a","b"]'},
    ]

    assert len({call(**pair).user for pair in pairs}) == len(pairs)
    assert call(user="a").user == "a"
    assert call(safety_identifier="a").user == "a"


def test_cache_object_is_read_and_kept_from_the_upstream() -> None:
    messages = b'"messages":[{"role":"user","content":"x"}]'
    body = b'{"cache": {"ttl": 60}, "model":"m", ' + messages + b', "top_p":1.0}'

    parsed = parse(body)

    assert parsed.call.directives == Directives(ttl_s=60.0)
    assert parsed.forward == b'{"model":"m",' + messages + b',"top_p":1.0}'


def test_other_cache_values_are_the_upstreams_business() -> None:
    assert parse({**REQUEST, "cache": "x"}).forward is None
    assert call(cache="x").directives.bypass
    assert not call(cache=None).directives.bypass


def test_big_numbers_keep_their_digits() -> None:
    body = b'{"messages":[{"role":"user","content":"x"}],"logit_bias":{"1":123456789012345678901}}'

    assert parse(body).call.frame["logit_bias"] == {"1": 123456789012345678901}
