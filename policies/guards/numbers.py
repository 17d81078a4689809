"""Numbers as values: "1,000" is "1000", "two" is "2", "2.50" is "2.5"."""

from __future__ import annotations

import re

# "one" is left out: "which one", "one of" are not quantities.
_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen twenty".split(),
        start=2,
    )
} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "seventy": "70",
    "eighty": "80",
    "ninety": "90",
    "hundred": "100",
    "thousand": "1000",
    "million": "1000000",
    "billion": "1000000000",
    "dozen": "12",
    "half": "0.5",
    "twice": "2",
}
# A number stands alone or before a unit ("5kg", "20%"), never inside a word ("v2", "h264").
_DIGITS = re.compile(r"(?<![\w.,])[-−]?\d+(?:[,.' \u202f]\d+)*", re.UNICODE)
_WORD = re.compile("(?<![a-z])(?:" + "|".join(_WORDS) + ")(?![a-z])")
_GROUPED = re.compile(
    r"[-−]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-−]?\d{1,3}(?:['\u202f]\d{3})+(?:\.\d+)?"
)


def numbers(folded: str) -> tuple[str, ...]:
    """Return the values in case-folded text, sorted, as canonical decimal text.

    Order is not kept: a sum of two numbers may name them either way round, and similarity of
    wording must catch the rest.
    """
    found = [value for match in _DIGITS.finditer(folded) for value in _values(match.group())]
    found += [_WORDS[match.group()] for match in _WORD.finditer(folded)]
    return tuple(sorted(found))


def _values(token: str) -> list[str]:
    token = token.replace("−", "-")
    if _GROUPED.fullmatch(token):
        return [_canonical(re.sub(r"[,'\u202f]", "", token))]
    parts = re.split(r"[,' \u202f]", token)  # a list of numbers, or a date such as 2024.01.05
    return [_canonical(part) for part in parts if part]


def _canonical(token: str) -> str:
    sign = "-" if token.startswith("-") else ""
    whole, dot, fraction = token.lstrip("-").partition(".")
    fraction = fraction.rstrip("0") if "." not in fraction else fraction
    whole = whole.lstrip("0") or "0"
    return sign + whole + (dot + fraction if fraction else "")
