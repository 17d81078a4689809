"""From the bytes of a request to its partition and exact key, through the real dialect."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kindcache.adapters.dialects.openai_chat import OpenAIChat
from kindcache.cache.asking.fingerprint import Ask
from kindcache.cache.asking.identity import Identity, Request
from kindcache.cache.asking.scope import Scoping
from kindcache.cache.ports import Vector

PATH = "/v1/chat/completions"
ALICE = ((b"authorization", b"Bearer alice"),)
SCOPING = Scoping(
    secret=b"the secret of this test",
    by="credential",
    share_anonymous=False,
    upstream="http://upstream/v1",
    namespace="",
)
EPOCH = b"epoch of the test"

# Fields that cannot change the answer, and those that are looked at beside the frame.
NEUTRAL = {"stream", "stream_options", "metadata", "store", "service_tier"}
SPECIAL = {"messages", "model", "n", "user", "safety_identifier", "cache", "temperature"}


@dataclass(frozen=True)
class Named:
    """An embedder of which only the name matters here."""

    identity: str
    dim: int = 8

    async def embed(self, text: str) -> Vector | None:
        raise NotImplementedError

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...


def identify(
    body: dict[str, Any] | bytes,
    *,
    target: bytes = PATH.encode() + b"?",
    headers: Sequence[tuple[bytes, bytes]] = ALICE,
    scoping: Scoping = SCOPING,
    epoch: bytes = EPOCH,
    embedder: str = "an embedder",
) -> Ask:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    call = OpenAIChat().parse(PATH, data).call
    identity = Identity(scoping, Named(embedder))
    ask = identity.identify(Request(call, target, headers), epoch)
    assert ask is not None
    return ask


def same(one: Ask, other: Ask) -> bool:
    assert (one.partition == other.partition) or (one.key != other.key)
    return (one.partition, one.key) == (other.partition, other.key)


BASE: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello to you"},
        {"role": "user", "content": "How are you?"},
    ],
    "temperature": 0.5,
    "stop": ["a", "b"],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "parameters": {"properties": {"a": {"default": None}, "b": {"type": "string"}}},
            },
        },
        {"type": "function", "function": {"name": "g"}},
    ],
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "strict": None}},
    "vendor": {"list": [1, None]},
}

# Few letters, and those that structure JSON, so that tricks with quotes and joints come up.
tricky = st.text(alphabet='"\\,:{}[]ab\n\0\u0303n', max_size=6)
scalars = st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | scalars | tricky,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(tricky, inner, max_size=2),
    max_leaves=3,
)
some_values = values.filter(lambda value: value is not None)
names = (tricky | st.text(min_size=1, max_size=8)).filter(
    lambda name: name not in NEUTRAL | SPECIAL and not name.startswith("prompt_cache_")
)
parts = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": tricky},
        optional={"cache_control": st.just({"type": "ephemeral"})},
    )
    | st.just({"type": "image_url", "image_url": {"url": "data:x"}}),
    max_size=2,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"])},
        optional={"content": st.none() | tricky | parts, "name": st.none() | tricky},
    ),
    min_size=1,
    max_size=3,
)
requests = st.builds(
    lambda known, unknown: unknown | known,
    st.fixed_dictionaries(
        {"messages": messages},
        optional={
            "model": st.none() | tricky,
            "n": st.none() | st.integers(1, 2),
            "user": st.none() | tricky | st.integers(0, 2),
            "safety_identifier": st.none() | tricky,
            "cache": st.none() | st.builds(lambda name: {"namespace": name}, tricky),
            "stream": st.none() | st.booleans(),
            "metadata": values,
            "prompt_cache_key": values,
        },
    ),
    st.dictionaries(names, values, max_size=2),
)


# What makes no difference


def _with(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda request: request | fields


def _in_parts(request: dict[str, Any]) -> dict[str, Any]:
    changed = deepcopy(request)
    for message in changed["messages"]:
        if isinstance(message.get("content"), str):
            message["content"] = [{"text": message["content"], "type": "text"}]
    return changed


def _shuffled(request: dict[str, Any]) -> dict[str, Any]:
    keys = list(request)
    random.Random(len(keys)).shuffle(keys)
    return {key: request[key] for key in keys}


WITHOUT_EFFECT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "keys in another order": _shuffled,
    "keys backwards": lambda request: dict(reversed(request.items())),
    "one text part for a string": _in_parts,
    "stream": _with(stream=True),
    "no stream": _with(stream=False),
    "stream: null": _with(stream=None),
    "usage asked": _with(stream=True, stream_options={"include_usage": True}),
    "metadata": _with(metadata={"a": "b"}),
    "store": _with(store=True),
    "service tier": _with(service_tier="flex"),
    "prompt cache key": _with(prompt_cache_key="x"),
    "prompt cache retention": _with(prompt_cache_retention="24h"),
    "n: 1": _with(n=1),
    "nulls": _with(seed=None, top_p=None, n=None, user=None, unheard_of=None, cache=None),
    "no user": _with(user="", safety_identifier=""),
    "cache control": _with(cache={"ttl": 60, "no-cache": False}),
}


@pytest.mark.parametrize("change", WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT)
def test_without_effect_on_a_full_request(
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    assert same(identify(BASE), identify(change(BASE)))


@settings(max_examples=60)
@given(requests, st.lists(st.sampled_from(sorted(WITHOUT_EFFECT)), max_size=4), st.data())
def test_without_effect_on_any_request(
    request: dict[str, Any], changes: list[str], data: st.DataObject
) -> None:
    changed = request
    for name in changes:
        added = WITHOUT_EFFECT[name]({"messages": []}).keys() - {"messages"}
        if not added & request.keys() - NEUTRAL:
            changed = WITHOUT_EFFECT[name](changed)
    missing = data.draw(names)
    if missing not in request:
        changed = changed | {missing: None}
    plain, ascii_only = json.dumps(changed, ensure_ascii=False), json.dumps(changed, indent=1)
    asks = [identify(request), identify(plain.encode()), identify(ascii_only.encode())]
    assert same(asks[0], asks[1])
    assert same(asks[0], asks[2])


@given(st.text(), st.sampled_from(["NFC", "NFD"]))
def test_texts_that_unicode_holds_equal_are_equal(text: str, form: Any) -> None:
    def ask(words: str) -> Ask:
        said = [{"role": role, "content": words} for role in ("system", "user", "user")]
        return identify({"messages": said, "stop": words, "k": {words: [words]}})

    assert same(ask(text), ask(unicodedata.normalize(form, text)))


@given(st.lists(st.text(alphabet="ab \t", max_size=4), min_size=1, max_size=4))
def test_line_ends_of_the_last_text_are_equal_and_those_before_are_not(lines: list[str]) -> None:
    def ask(end: str, system: str = "s") -> Ask:
        said = [("system", system), ("user", end.join(lines))]
        return identify({"messages": [{"role": role, "content": text} for role, text in said]})

    assert same(ask("\n"), ask("\r\n"))
    assert not same(ask("\n", "a\nb"), ask("\n", "a\r\nb"))


# What does


def _edited(path: Sequence[str | int], value: Any) -> dict[str, Any]:
    changed = deepcopy(BASE)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


def _dropped(*path: str | int) -> dict[str, Any]:
    changed = deepcopy(BASE)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return changed


FUNCTION = ("tools", 0, "function")
PROPERTIES = (*FUNCTION, "parameters", "properties")
WITH_EFFECT: dict[str, dict[str, Any]] = {
    "model": BASE | {"model": "another"},
    "no model": _dropped("model"),
    "no temperature is not any temperature": _dropped("temperature"),
    "temperature": BASE | {"temperature": 1},
    "temperature of 1.0 is not the text 1": BASE | {"temperature": 1.0},
    "top_p": BASE | {"top_p": 1},
    "seed": BASE | {"seed": 0},
    "max_tokens": BASE | {"max_tokens": 10},
    "max_completion_tokens": BASE | {"max_completion_tokens": 10},
    "n": BASE | {"n": 2},
    "stop in another order": BASE | {"stop": ["b", "a"]},
    "logprobs": BASE | {"logprobs": True},
    "logit_bias": BASE | {"logit_bias": {"1": 1}},
    "reasoning_effort": BASE | {"reasoning_effort": "low"},
    "tool_choice": BASE | {"tool_choice": "none"},
    "parallel_tool_calls": BASE | {"parallel_tool_calls": False},
    "functions": BASE | {"functions": []},
    "user": BASE | {"user": "u"},
    "user of another type": BASE | {"user": 1},
    "safety_identifier": BASE | {"safety_identifier": "s"},
    "both": BASE | {"user": "u", "safety_identifier": "s"},
    "both, the other way": BASE | {"user": "s", "safety_identifier": "u"},
    "both, glued": BASE | {"user": "us"},
    "tools in another order": BASE | {"tools": BASE["tools"][::-1]},
    "schema in another order": _edited(
        PROPERTIES, dict(reversed(BASE["tools"][0]["function"]["parameters"]["properties"].items()))
    ),
    "schema without a nested null": _edited((*PROPERTIES, "a"), {}),
    "response format without a nested null": _dropped("response_format", "json_schema", "strict"),
    "no response format": _dropped("response_format"),
    "vendor field without its null": _edited(("vendor", "list"), [1]),
    "vendor field": BASE | {"guided_json": {"type": "object"}},
    "vendor flag": BASE | {"chat_template_kwargs": {"enable_thinking": False}},
    "nearly a neutral name": BASE | {"Stream": True},
    "system prompt": _edited(("messages", 0, "content"), "Be long."),
    "system prompt's white space": _edited(("messages", 0, "content"), "Be brief. "),
    "role of the system prompt": _edited(("messages", 0, "role"), "developer"),
    "earlier question": _edited(("messages", 1, "content"), "Hallo"),
    "earlier answer": _edited(("messages", 2, "content"), "Hello"),
    "earlier turn gone": _dropped("messages", 1),
    "a null in an earlier turn": _edited(("messages", 1, "name"), None),
    "name of the speaker": _edited(("messages", 3, "name"), "bob"),
    "a null beside the last text": _edited(("messages", 3, "name"), None),
    "last text in two parts": _edited(
        ("messages", 3, "content"),
        [{"type": "text", "text": "How are "}, {"type": "text", "text": "you?"}],
    ),
    "last text in a marked part": _edited(
        ("messages", 3, "content"),
        [{"type": "text", "text": "How are you?", "cache_control": {"type": "ephemeral"}}],
    ),
    "an image beside it": _edited(
        ("messages", 3, "content"),
        [
            {"type": "text", "text": "How are you?"},
            {"type": "image_url", "image_url": {"url": "data:x"}},
        ],
    ),
    "last role": _edited(("messages", 3, "role"), "assistant"),
    "namespace": BASE | {"cache": {"namespace": "n"}},
    "namespace that is the user": BASE | {"cache": {"namespace": "u"}},
}


def test_each_change_that_counts_has_a_partition_of_its_own() -> None:
    partitions = {identify(request).partition: name for name, request in WITH_EFFECT.items()}
    assert sorted(partitions.values()) == sorted(WITH_EFFECT)
    assert identify(BASE).partition not in partitions


def test_another_last_text_has_another_key_in_the_same_partition() -> None:
    one, other = identify(BASE), identify(_edited(("messages", 3, "content"), "How old are you?"))
    assert one.partition == other.partition
    assert one.key != other.key


def test_everything_around_the_body_parts_partitions() -> None:
    two = (*ALICE, (b"openai-organization", b"o"))
    asks = [
        identify(BASE),
        identify(BASE, target=b"/v2/chat/completions?"),
        identify(BASE, target=b"/deployments/m/chat/completions?"),
        identify(BASE, target=PATH.encode() + b"?api-version=2024-02-01"),
        identify(BASE, target=PATH.encode() + b"?api-version=2024-06-01"),
        identify(BASE, headers=((b"authorization", b"Bearer bob"),)),
        identify(BASE, headers=((b"x-api-key", b"Bearer alice"),)),
        identify(BASE, headers=two),
        identify(BASE, headers=(*ALICE, (b"openai-beta", b"assistants=v2"))),
        identify(BASE, headers=(*ALICE, (b"openai-version", b"assistants=v2"))),
        identify(BASE, scoping=replace(SCOPING, upstream="http://another/v1")),
        identify(BASE, scoping=replace(SCOPING, namespace="n")),
        identify(BASE, scoping=replace(SCOPING, secret=b"another")),
        identify(BASE, epoch=b"another"),
        identify(BASE, embedder="another"),
    ]
    assert len({ask.partition for ask in asks}) == len({ask.key for ask in asks}) == len(asks)


def test_headers_that_select_nothing_do_not_count() -> None:
    noise = ((b"user-agent", b"x"), (b"x-request-id", b"1"), (b"accept", b"*/*"))
    assert same(identify(BASE), identify(BASE, headers=(*noise, *ALICE)))


def _text(value: Any) -> str:
    return unicodedata.normalize("NFC", json.dumps(value, ensure_ascii=False))


@given(requests, names, some_values, some_values)
def test_a_field_with_another_value_or_none_at_all_is_another_partition(
    request: dict[str, Any], name: str, one: Any, other: Any
) -> None:
    without = {key: value for key, value in request.items() if key != name}
    first, second = identify(without | {name: one}), identify(without | {name: other})
    assert (first.partition == second.partition) == (_text(one) == _text(other))
    assert first.partition != identify(without).partition


@given(requests, names, names, some_values)
def test_a_value_under_another_name_is_another_partition(
    request: dict[str, Any], one: str, other: str, value: Any
) -> None:
    assume(_text(one) != _text(other))
    without = {key: known for key, known in request.items() if key not in (one, other)}
    assert (
        identify(without | {one: value}).partition != identify(without | {other: value}).partition
    )


def meaning(request: dict[str, Any]) -> tuple[Any, ...]:
    """What two requests must share to be one question, said in another way than the code does."""
    frame = {key: value for key, value in request.items() if value is not None}
    frame = {k: v for k, v in frame.items() if k not in NEUTRAL and k != "prompt_cache_key"}
    said = deepcopy(frame.pop("messages"))
    for message in said:
        match message.get("content"):
            case [{"type": "text", "text": text, **rest}] if not rest:
                message["content"] = text
    prompt = None
    if said[-1]["role"] == "user" and isinstance(said[-1].get("content"), str):
        prompt = unicodedata.normalize("NFC", said[-1]["content"]).strip()
        said[-1]["content"] = ["the prompt"]
    if frame.get("n") == 1:
        del frame["n"]
    namespace = frame.pop("cache", {}).get("namespace", "")
    users = tuple(
        frame.pop(name)
        for name in ("user", "safety_identifier")
        if isinstance(frame.get(name), str)
    )
    return (
        tuple(_text([key, frame[key]]) for key in sorted(frame)),
        _text(said),
        tuple(name for name in users if name),
        namespace,
        prompt,
    )


@settings(max_examples=150)
@given(requests, requests, st.booleans(), st.data())
def test_only_requests_that_mean_the_same_meet(
    one: dict[str, Any], other: dict[str, Any], near: bool, data: st.DataObject
) -> None:
    if near:  # else hardly two of them would ever be alike
        replaced = data.draw(st.sampled_from(sorted(one)))
        other = {**one, replaced: other.get(replaced, one[replaced])}
    first, second = identify(one), identify(other)
    assert same(first, second) == (meaning(one) == meaning(other))


@given(st.lists(tricky, min_size=4, max_size=4), st.lists(tricky, min_size=4, max_size=4))
def test_users_and_namespaces_cannot_be_glued_together(one: list[str], other: list[str]) -> None:
    def scope(user: str, safe: str, asked: str, fixed: str) -> Ask:
        body = BASE | {"user": user, "safety_identifier": safe, "cache": {"namespace": asked}}
        return identify(body, scoping=replace(SCOPING, namespace=fixed))

    def plain(user: str, safe: str, asked: str, fixed: str) -> tuple[object, ...]:
        return [name for name in (user, safe) if name], asked, fixed

    assert same(scope(*one), scope(*other)) == (plain(*one) == plain(*other))


# Known keys: whoever changes them makes every stored answer unreachable, which must be meant.

KNOWN: dict[str, tuple[dict[str, Any], str, str]] = {
    "the least": (
        {"messages": [{"role": "user", "content": "Hello"}]},
        "f6dd8123aed37f133eb0c2b980e88652",
        "4e16faf8f43944817917cdc380271ca3",
    ),
    "the full": (BASE, "6f70b0ff925fc1ca59894bc1145e60d3", "7efc95b2a290884cf5c354aac41b4589"),
    "unicode": (
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Gr\u00fc\u00df Gott, \u4f60\u597d"}],
        },
        "c735d5dfc8c7c718536186eb14f8bfde",
        "0d9d0bbff59da94db8fd2d29f7850a19",
    ),
    "no last text": (
        {"messages": [{"role": "assistant", "content": "Hello"}]},
        "18efa1abb0a6db218fdd361b2d6cc18f",
        "9f31816b2ac0ed64e40005838aa9b304",
    ),
    "user and namespace": (
        {
            "messages": [{"role": "user", "content": "Hello"}],
            "user": "u",
            "safety_identifier": "s",
            "cache": {"namespace": "n"},
        },
        "8c32206e7489aedee7bef5da13cffc44",
        "3cc95d7ec7e5b550705903a363904c36",
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_keys_are_those_of_earlier_versions(name: str) -> None:
    body, partition, key = KNOWN[name]
    ask = identify(body, headers=(*ALICE, (b"openai-beta", b"b")))
    assert (ask.partition.hex(), ask.key.hex()) == (partition, key)
