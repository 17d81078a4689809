"""Unicode normal form of texts that anyone may send."""

from __future__ import annotations

import re
import unicodedata

# A run of combining marks is sorted in quadratic time: 100 KB of them take 20 s. No language
# stacks more than 30 (UAX 15, Stream-Safe Text Format). Marks are neither word characters nor
# white space, but for the two half-width marks of Japanese.
_LONG_RUN = re.compile(r"(?:[^\w\s\x00-\x7f]|[\uff9e\uff9f]){31}")


def nfc(text: str) -> str:
    """Return ``text`` in NFC, as it is when it holds a run of marks that no language has.

    Equal results mean canonically equal texts.
    """
    if text.isascii() or _LONG_RUN.search(text):
        return text
    return unicodedata.normalize("NFC", text)
