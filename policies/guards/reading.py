"""A prompt as the guards read it: one spelling of what can be typed in several ways."""

from __future__ import annotations

import re
import unicodedata

# Normalisation sorts a run of combining marks in quadratic time, so runs are broken up as in the
# Stream-Safe Text Format of UAX 15. Marks are neither word characters nor white space, but for
# the two half-width marks of Japanese.
_MARKS = re.compile(r"(?:[^\w\s\x00-\x7f]|[\uff9e\uff9f]){30}")
_JOINER = "\u034f"
_TYPOGRAPHY = str.maketrans("‘’‚‛–—−‐⁃", "''''-----")
_ABBREVIATION = re.compile(r"(?<![\w.])[A-Za-z](?:\.[A-Za-z](?![\w(]))+\.?")
_VERSION = re.compile(r"(?<![\w/.-])[vV]\.?(?=\d++(?:\.\d++)*+(?![\w/-]))")
_DIGIT = re.compile(r"[^\W\D0-9]")
_WORD = re.compile(r"[^\W_]+")


def normal(text: str) -> str:
    """Return ``text`` in NFKC with ASCII digits, dashes and apostrophes.

    "U.S." is read as "US", "v2" as "version 2".
    """
    if not text.isascii():
        text = _MARKS.sub(lambda run: run.group() + _JOINER, text)
        text = unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)
        text = _DIGIT.sub(lambda digit: str(unicodedata.digit(digit.group())), text)
    if "." in text:
        text = _ABBREVIATION.sub(lambda found: found.group().replace(".", ""), text)
    return _VERSION.sub("version ", text)


def words(folded: str) -> list[str]:
    """Return the words and numbers of case-folded text in order, without punctuation."""
    return _WORD.findall(folded)
