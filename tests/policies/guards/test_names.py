"""What is a name by its case."""

from __future__ import annotations

import pytest

from kindcache.policies.guards.names import lacking
from kindcache.policies.guards.signature import signature


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the weather in Paris", ("paris",)),
        ("ask Dr. Smith of NASA", ("dr", "nasa", "smith")),
        ("use JavaScript and iPhone", ("iphone", "javascript")),
        ("vitamin C", ("c",)),
        ("it is Alice's", ("alice",)),
        ("one line\nTwo lines", ()),
        # The first word of a sentence, and what is not a name anywhere:
        ("Where is it? There it is. So", ()),
        ("what I think: Yes", ()),
        ("- First\n- Second", ()),
        ('say "Hello there"', ()),
        ("a GB, 5 KB", ()),
        # All in capitals, or a headline:
        ("RESET MY PASSWORD", ()),
        ("How To Reset My Password", ()),
        ("Best Password Manager Apps", ()),
        # German nouns; scripts without capitals; scripts that inflect names:
        ("wie ist das Wetter und der Wind in Berlin", ()),
        ("一个苹果", ()),
        ("погода в Москве", ()),
        ("", ()),
    ],
)
def test_names(text: str, found: tuple[str, ...]) -> None:
    assert signature(text).names == found


@pytest.mark.parametrize(
    ("words", "missing"),
    [("paris", False), ("americans paris", False), ("london", True), ("", True)],
)
def test_lacking(words: str, missing: bool) -> None:
    assert lacking(("paris",), words.split()) is missing


def test_singular_and_plural_are_one_name() -> None:
    assert not lacking(("american",), ["americans"])
    assert not lacking(("americans",), ["american"])


def test_initials_are_the_name() -> None:
    assert not lacking(("nda",), ["sign", "a", "non", "disclosure", "agreement"])
    assert lacking(("er",), ["the", "emergency", "room"])
