"""Canonical bytes: which frames are one question to the model, and which are not."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kindcache.cache.asking.canonical import VERSION, canonical

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
names = st.text(max_size=5).map(lambda text: unicodedata.normalize("NFC", text))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
frames = st.dictionaries(names, values, max_size=5)


def blank_digits(text: str) -> str:
    return "".join("#" if letter.isdigit() else letter for letter in text)


@given(frames, st.randoms(use_true_random=False))
def test_the_order_of_top_level_keys_and_top_level_nulls_do_not_count(
    frame: dict[str, Any], rng: Any
) -> None:
    keys = list(frame)
    rng.shuffle(keys)
    shuffled = {key: frame[key] for key in keys}
    assert canonical(shuffled) == canonical(frame)
    assert canonical(frame | {"nothing in particular": None}) == canonical(frame)


@given(frames)
def test_the_bytes_can_be_read_back_so_nothing_is_lost(frame: dict[str, Any]) -> None:
    data = canonical(frame)
    assert data.startswith(VERSION)
    normal = unicodedata.normalize("NFC", msgspec.json.encode(frame).decode())
    expected = {
        key: value for key, value in msgspec.json.decode(normal).items() if value is not None
    }
    assert msgspec.json.decode(data[len(VERSION) :]) == expected


@given(frames, names, values.filter(lambda value: value is not None))
def test_one_more_key_makes_another_question(
    frame: dict[str, Any], key: str, value: object
) -> None:
    more = {name: known for name, known in frame.items() if name != key} | {key: value}
    less = {name: known for name, known in more.items() if name != key}
    assert canonical(more) != canonical(less)


def test_nested_order_and_nested_nulls_count() -> None:
    one = {"tools": [{"a": 1, "b": 2}], "response_format": {"schema": None}}
    assert canonical(one) != canonical({**one, "tools": [{"b": 2, "a": 1}]})
    assert canonical(one) != canonical({**one, "response_format": {}})
    assert canonical({"stop": ["a", "b"]}) != canonical({"stop": ["b", "a"]})


def test_numbers_texts_and_flags_are_told_apart() -> None:
    kinds: list[Any] = [
        1,
        1.5,
        True,
        False,
        0,
        "1",
        "true",
        "null",
        [],
        {},
        [[]],
        "",
        10**40,
        10**40 + 1,
    ]
    assert len({canonical({"field": kind}) for kind in kinds}) == len(kinds)


@given(st.text())
def test_composed_and_decomposed_text_are_one(text: str) -> None:
    composed = {"messages": unicodedata.normalize("NFC", text)}
    decomposed = {"messages": unicodedata.normalize("NFD", text)}
    assert canonical(composed) == canonical(decomposed)


def test_compatible_but_different_characters_are_two() -> None:
    assert canonical({"a": "x\u00b2"}) != canonical({"a": "x2"})


def test_a_combining_mark_behind_an_escape_stays_behind_it() -> None:
    newline = canonical({"a": "\n\u0303"})  # JSON writes the newline as \n, and n + mark composes
    assert newline != canonical({"a": "\\\u00f1"})
    assert newline != canonical({"a": "\u00f1"})


def test_blanks_touch_system_prompts_only() -> None:
    def frame(system: str, user: str) -> dict[str, Any]:
        return {
            "system": system,
            "messages": [
                {"role": "system", "content": system},
                {"role": "developer", "content": system},
                {"role": "user", "content": user},
                "not even a message",
            ],
            "seed": 1,
        }

    blank = [blank_digits]
    assert canonical(frame("on day 1", "x"), blank) == canonical(frame("on day 2", "x"), blank)
    assert canonical(frame("on day 1", "x")) != canonical(frame("on day 2", "x"))
    assert canonical(frame("day", "x 1"), blank) != canonical(frame("day", "x 2"), blank)
    assert canonical({"seed": "1"}, blank) != canonical({"seed": "2"}, blank)


def test_blanks_leave_system_prompts_in_parts_alone() -> None:
    def parts(text: str) -> dict[str, Any]:
        return {"messages": [{"role": "system", "content": [{"type": "text", "text": text}]}]}

    assert canonical(parts("1"), [blank_digits]) != canonical(parts("2"), [blank_digits])


def test_blanks_work_in_order() -> None:
    blank = [lambda text: text.replace("a", "b"), lambda text: text.replace("b", "c")]
    assert canonical({"system": "a"}, blank) == canonical({"system": "c"})
