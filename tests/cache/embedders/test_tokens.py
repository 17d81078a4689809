"""What is read of a text, and which texts are refused."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from kindcache.cache.embedders.tokens import CHARACTERS_PER_TOKEN, TokenReader, narrowed
from kindcache.cache.errors import StartupError

VOCABULARY = {"[UNK]": 0, "<s>": 1, "</s>": 2, "query": 3, "good": 4, "text": 5, ":": 6}


def reader(window: int = 6, *, prefix: str = "", lower: bool = False) -> TokenReader:
    tokenizer = Tokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    return TokenReader(tokenizer, window, unknown_id=0, prefix=prefix, lower=lower)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("good text", [1, 4, 5, 2]),
        ("good good good good", [1, 4, 4, 4, 4, 2]),
        ("good good good good good", None),
        ("good stranger", None),
        ("", None),
        ("   ", None),
        ("good \ud800", None),
        (" " * (6 * CHARACTERS_PER_TOKEN - 4) + "good", [1, 4, 2]),
        (" " * (6 * CHARACTERS_PER_TOKEN - 3) + "good", None),
    ],
)
def test_reading(text: str, ids: list[int] | None) -> None:
    assert reader().read(text) == ids


def test_the_prefix_counts_and_is_no_text() -> None:
    prefixed = reader(prefix="query: ")
    assert prefixed.read("good text") == [1, 3, 6, 4, 5, 2]
    assert prefixed.read("good good text") is None
    assert prefixed.read("") is None


def test_lower_case_only_if_the_model_wants_it() -> None:
    assert reader().read("Good") is None
    assert reader(lower=True).read("Good") == [1, 4, 2]


def test_a_window_may_only_be_narrowed() -> None:
    assert narrowed(256, 0) == 256
    assert narrowed(256, 100) == 100
    with pytest.raises(StartupError, match=r"embedder\.window is 257"):
        narrowed(256, 257)
