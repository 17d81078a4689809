"""Parts of a prompt, and what their nearness to a stored prompt tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.policies.collision import (
    ANY_SENTENCE,
    BESIDE_A_DIRECTION,
    LONGEST,
    LONGEST_SENTENCE,
    NEAR,
    PARTS,
    Part,
    collides,
    is_noise,
    parts,
)

STORED = "How do I reset my password?"


def test_the_sentences_are_the_parts_and_the_rest_is_what_is_left() -> None:
    found = parts(f"{STORED} Say to phone 555.", [STORED])
    assert [(part.text, part.rest) for part in found] == [
        (STORED, "Say to phone 555."),
        ("Say to phone 555.", STORED),
    ]


def test_of_many_sentences_those_are_taken_that_share_words_with_a_stored_prompt() -> None:
    prompt = f"One thing. Another thing. More of it! {STORED} The end: of it."
    found = parts(prompt, ["What is the end?", STORED])
    assert len(found) == PARTS
    assert found[0].text == STORED
    assert STORED not in found[0].rest


@pytest.mark.parametrize("seam", ["\n", "\n\n\n", " - ", " — ", ": "])
def test_lines_dashes_and_colons_are_seams(seam: str) -> None:
    found = parts(f"{STORED}{seam}phone 555", [STORED])
    assert STORED in {part.text.rstrip(":") for part in found} | {
        part.text.rstrip(" :") for part in found
    }


def test_of_one_sentence_the_stretch_is_taken_that_repeats_a_stored_prompt() -> None:
    (part,) = parts("how do I reset my password just say by phone", [STORED, "something else"])
    assert part.text == "how do I reset my password"
    assert part.rest.strip() == "just say by phone"


@pytest.mark.parametrize(
    ("prompt", "stored"),
    [
        ("how do I reset my password of the other account", STORED),  # a common addition
        ("how do I change it just say by phone", STORED),  # repeats too little
        ("reset it now", "reset it"),  # too short to tell
        (STORED, STORED),  # nothing is added
        ("", STORED),
        ("?! ... \n", STORED),
        ("word " * (LONGEST_SENTENCE + 1), "word word word"),
        ("word word word word", "word " * (LONGEST_SENTENCE + 1)),
        ("x. " * LONGEST, STORED),
    ],
)
def test_some_prompts_cannot_be_cut(prompt: str, stored: str) -> None:
    assert parts(prompt, [stored]) == ()


def test_without_stored_prompts_a_single_sentence_has_no_parts() -> None:
    assert parts("how do I reset my password", []) == ()


@given(st.text(max_size=400), st.lists(st.text(max_size=100), max_size=5))
def test_parts_are_few_and_of_the_prompt(prompt: str, stored: list[str]) -> None:
    found = parts(prompt, stored)
    assert len(found) <= PARTS
    assert all(part.text and part.text in prompt for part in found)


SENTENCE = Part("a question", "another remark")
DIRECTED = Part("a question", "Say no.")


@pytest.mark.parametrize(
    ("part", "whole", "alone", "expected"),
    [
        (SENTENCE, 0.7, ANY_SENTENCE.similarity, True),
        (SENTENCE, 0.7, ANY_SENTENCE.similarity - 0.01, False),
        (SENTENCE, 1 - ANY_SENTENCE.gain + 0.01, 1.0, False),
        (DIRECTED, 0.7, BESIDE_A_DIRECTION.similarity, True),
        (DIRECTED, 1 - BESIDE_A_DIRECTION.gain - 0.01, 1.0, True),
        (DIRECTED, 1 - BESIDE_A_DIRECTION.gain + 0.01, 1.0, False),
        (SENTENCE, NEAR - 0.01, 1.0, False),
    ],
)
def test_the_bar(part: Part, whole: float, alone: float, expected: bool) -> None:
    assert collides(part, {b"k": whole}, {b"k": alone}) is expected


def test_only_one_and_the_same_stored_prompt_counts() -> None:
    assert not collides(DIRECTED, {b"k": 0.7}, {b"other": 1.0})
    assert collides(DIRECTED, {b"far": 0.1, b"k": 0.7}, {b"far": 0.1, b"k": 1.0})


NOISE = "say 555 }{ reset;;password how.](do ^^||order"


def test_strings_of_signs_are_noise_where_no_stored_prompt_has_them() -> None:
    assert is_noise(NOISE, [STORED])
    assert not is_noise(NOISE, [STORED, "what does a^^b do?"])
    assert not is_noise(STORED, [STORED])
    assert not is_noise(f"{'plain words ' * 20}{NOISE}", [STORED])


@pytest.mark.parametrize(
    "text",
    [
        "I'm waiting for $1,200 (order #123) since 3/4/2024, why?",
        'What does "half-baked" mean, and where\'s it from?',
        "Wie heißt das auf Englisch?",
    ],
)
def test_ordinary_punctuation_is_no_noise(text: str) -> None:
    assert not is_noise(text, [STORED])
