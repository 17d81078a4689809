"""Turns a text into token ids, or says that it must not be matched by meaning."""

from __future__ import annotations

from tokenizers import Tokenizer

from ..errors import StartupError

# Longer texts are not tokenised at all: 4,096 characters take 2 ms here, a megabyte 800 ms.
# English has 4 to 5 characters a token, so what this refuses is mostly white space.
CHARACTERS_PER_TOKEN = 16


class TokenReader:
    """Reads texts for one model. Not for several threads at once.

    A text is refused (``None``) when its vector would stand for something else than the text:

    - it has more than ``window`` tokens, special tokens included, or more than
      ``CHARACTERS_PER_TOKEN * window`` characters;
    - it holds something that the vocabulary does not know, such as an emoji, or a word of over 100
      letters in BERT's case: all unknown words share one token, so that texts which differ only
      there would have one vector;
    - it has no token at all, or is not valid Unicode (a lone surrogate).
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        window: int,
        *,
        unknown_id: int | None = None,
        prefix: str = "",
        lower: bool = False,
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.window = window
        self.unknown_id = unknown_id
        self.prefix = prefix
        self.lower = lower
        self._tokenizer = tokenizer
        self._longest = CHARACTERS_PER_TOKEN * window
        self._bare = len(tokenizer.encode(prefix).ids)

    def read(self, text: str) -> list[int] | None:
        """Return the token ids of ``text``, or None when it must not be matched by meaning."""
        if len(text) > self._longest:
            return None
        text = self.prefix + text
        try:
            ids: list[int] = self._tokenizer.encode(text.lower() if self.lower else text).ids
        except TypeError:  # how tokenizers refuses a lone surrogate
            return None
        if not self._bare < len(ids) <= self.window or self.unknown_id in ids:
            return None
        return ids

    def to_json(self) -> str:
        """Return the tokenizer as the text of a ``tokenizer.json``."""
        text: str = self._tokenizer.to_str()
        return text


def narrowed(window: int, wanted: int) -> int:
    """Return the window to use: ``wanted`` tokens, 0 = ``window``, what the model can read.

    Raises ``StartupError`` when the model cannot read that much.
    """
    if wanted > window:
        raise StartupError(
            f"embedder.window is {wanted} tokens, but the model reads at most {window}"
        )
    return wanted or window
