"""Which conversations may be compared: those that differ in what the user said earlier, only."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kindcache.cache.asking.fingerprint import Ask
from kindcache.cache.asking.history import MOST_CHARACTERS, without_turns
from kindcache.cache.asking.identity import VARY, Identity, Request
from kindcache.policies.facts import Directives
from tests.cache.asking.test_identity import EPOCH, SCOPING
from tests.cache.small_engine import batcher, request

pytestmark = pytest.mark.anyio

LAST = {"role": "user", "content": {"$prompt": 1}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
FRAME: dict[str, Any] = {
    "model": "m",
    "temperature": 0.5,
    "response_format": {"type": "text"},
    "tools": [{"type": "function", "function": {"name": "look_up"}}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "I lost my card."},
        {"role": "assistant", "content": "Which one?"},
        {"role": "user", "name": "eve", "content": "The credit card."},
        {"role": "assistant", "content": "Shall I block it?"},
        {"role": "user", "content": [{"type": "text", "text": "See here:"}, PICTURE]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "blocked"},
        LAST,
    ],
}
TURNS = ("I lost my card.", "The credit card.")


async def asked(one: Request, identity: Identity | None = None) -> Ask:
    embedder = batcher()
    await embedder.open()
    identity = Identity(SCOPING, embedder) if identity is None else identity
    ask = identity.identify(one, EPOCH)
    assert ask is not None
    ask = identity.with_history(one, ask)
    await embedder.aclose()
    return ask


async def place(one: Request) -> bytes:
    ask = await asked(one)
    assert ask.history is not None
    return ask.history.partition


def talk(change: Callable[[dict[str, Any]], object] = lambda _: None) -> Request:
    frame = copy.deepcopy(FRAME)
    change(frame)
    return request("How long does it take?", frame=frame)


def saying(number: int, text: str) -> Callable[[dict[str, Any]], object]:
    return lambda frame: frame["messages"][number].update(content=text)


@pytest.mark.parametrize("number", [2, 4])
async def test_earlier_words_of_the_user_may_differ(number: int) -> None:
    one, other = await asked(talk()), await asked(talk(saying(number, "Other words.")))
    assert one.partition != other.partition
    assert one.history is not None
    assert other.history is not None
    assert one.history.partition == other.history.partition
    assert one.history.turns == TURNS
    assert other.history.turns[(number - 2) // 2] == "Other words."


async def test_the_two_partitions_of_a_conversation_are_two() -> None:
    ask = await asked(talk())
    assert ask.history is not None
    assert ask.history.partition != ask.partition
    assert len(ask.history.partition) == 16


OTHERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "system": saying(0, "Be long."),
    "developer": saying(1, "Be rude."),
    "assistant": saying(3, "Which of them?"),
    "last assistant": saying(5, "Shall I replace it?"),
    "tool result": saying(8, "not blocked"),
    "model": lambda frame: frame.update(model="another"),
    "temperature": lambda frame: frame.update(temperature=0.6),
    "absent temperature": lambda frame: frame.pop("temperature"),
    "format": lambda frame: frame.update(response_format={"type": "json_object"}),
    "tools": lambda frame: frame["tools"][0]["function"].update(name="other"),
    "unknown field": lambda frame: frame.update(some_vendor_field=1),
    "role": lambda frame: frame["messages"][2].update(role="assistant"),
    "name": lambda frame: frame["messages"][4].update(name="adam"),
    "field of a turn": lambda frame: frame["messages"][2].update(weight=0),
    "tool calls": lambda frame: frame["messages"][7].update(tool_calls=[{"id": "2"}]),
    "text beside an image": lambda frame: frame["messages"][6]["content"][0].update(text="Or:"),
    "image": lambda frame: frame["messages"][6]["content"][1].update(image_url={"url": "b"}),
    "text for parts": saying(6, "See here:"),
    "no content": lambda frame: frame["messages"][2].update(content=None),
    "one turn less": lambda frame: frame["messages"].pop(2),
    "one turn more": lambda frame: frame["messages"].insert(2, {"role": "user", "content": "Hi"}),
    "order": lambda frame: frame["messages"].insert(2, frame["messages"].pop(3)),
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
async def test_everything_else_must_be_the_same(change: Callable[[dict[str, Any]], object]) -> None:
    assert await place(talk(change)) != await place(talk())


@pytest.mark.parametrize(
    "changed",
    [
        request("How long does it take?", owner="bob", frame=FRAME),
        request("How long does it take?", user="u", frame=FRAME),
        request("How long does it take?", dialect="another", frame=FRAME),
        request("How long does it take?", directives=Directives(namespace="n"), frame=FRAME),
        replace(talk(), target=b"/v1/chat/completions?api-version=2"),
        *(replace(talk(), headers=[*talk().headers, (name, b"1")]) for name in sorted(VARY)),
    ],
)
async def test_scope_target_and_version_part_loose_partitions_too(changed: Request) -> None:
    assert await place(changed) != await place(talk())


async def test_upstream_and_epoch_part_loose_partitions_too() -> None:
    embedder = batcher()
    await embedder.open()
    identity = Identity(replace(SCOPING, upstream="another"), embedder)
    other = await asked(talk(), identity)
    assert other.history is not None
    assert other.history.partition != await place(talk())
    ask = Identity(SCOPING, embedder).identify(talk(), b"another epoch")
    assert ask is not None
    ask = identity.with_history(talk(), ask)
    assert ask.history is not None
    assert ask.history.partition not in {other.history.partition, await place(talk())}


async def test_the_last_text_is_no_earlier_turn() -> None:
    assert await place(talk()) == await place(
        replace(talk(), call=replace(talk().call, prompt="?"))
    )


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"messages": None},
        {"messages": "text"},
        {"messages": [LAST]},
        {"messages": [{"role": "system", "content": "Be brief."}, LAST]},
        {"messages": [{"role": "user", "content": [PICTURE]}, LAST]},
        {"messages": ["odd", 1, LAST]},
        {"messages": [{"role": "user", "content": "x" * (MOST_CHARACTERS + 1)}, LAST]},
        {"messages": [{"role": "user", "content": "x" * (MOST_CHARACTERS // 2 + 1)}] * 2 + [LAST]},
    ],
)
async def test_where_there_is_nothing_to_compare_nothing_changes(frame: dict[str, Any]) -> None:
    assert without_turns(frame) is None
    asking = request("hello", frame=frame)
    assert (await asked(asking)).history is None


def test_a_frame_is_left_as_it_is_and_turns_are_read_in_normal_form() -> None:
    frame = copy.deepcopy(FRAME)
    frame["messages"][2]["content"] = " I lost my cafe\u0301 card.\r\nYes. "
    before = copy.deepcopy(frame)
    found = without_turns(frame)
    assert frame == before
    assert found is not None
    assert found[1] == ("I lost my caf\u00e9 card.\nYes.", "The credit card.")
