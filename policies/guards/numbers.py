"""Numbers as values with their units: "1,000" is "1000", "5kg" is "5 kilograms", "7am" is "07:00".

What can be read in two ways ("1,5", "1.000", "5/6/2024") stands for itself alone.
"""

from __future__ import annotations

import re

from .dates import time_of_day
from .number_words import spelled_out
from .units import CURRENCY, TIGHT, UNITS

# A number may follow a letter of a script without spaces, never a Latin one ("v2", "h264").
_LATIN = "a-z0-9_\u00df-\u024f"
_NUMBER = re.compile(
    rf"(?<![{_LATIN}])(?<![{_LATIN}][.,])(?P<sign>(?:(?<![%°)])-)?)(?P<currency>(?:{CURRENCY}) ?)?"
    r"(?P<digits>\.?\d++(?:(?:[.,:/'-]|(?<=\d) (?=\d{3}(?!\d)))\d++)*+)"
    r"(?P<ordinal>(?:st|nd|rd|th)(?![a-z0-9]))?"
    r"(?P<unit>(?P<gap>[ -]?)(?:[°%$€£¥₹₩][cf]?|(?:degrees? )?[a-z]++(?:/[a-z]++)?)"
    rf"(?![{_LATIN}]))?"
)
_PER_CENT = re.compile(r"\bper cent\b")
_GROUPED = re.compile(r"\d{1,3}(?:([,' ])\d{3})(?:\1\d{3})*(?:\.\d+)?")
_DATE = re.compile(r"(\d+)([-/.])(\d+)\2(\d+)")
_PLAIN = re.compile(r"\d*\.?\d+")


def numbers(folded: str, words: frozenset[str]) -> tuple[str, ...]:
    """Return the numbers in case-folded text, sorted. ``words`` are the words of the text.

    Order is not kept: a sum of two numbers may name them either way round, and what direction
    changes is another guard's work.
    """
    folded = spelled_out(folded, words)
    if "per cent" in folded:
        folded = _PER_CENT.sub("percent", folded)
    found = [value for match in _NUMBER.finditer(folded) for value in _read(match)]
    return tuple(sorted(found)) if found else ()


def is_quantity(item: str) -> bool:
    """Say whether case-folded ``item`` is nothing but a number with or without a unit."""
    match = _NUMBER.fullmatch(item)
    return match is not None and _attached(match)


def _attached(match: re.Match[str]) -> bool:
    """Say whether letters written onto the digits are a unit; else it is an identifier: "4k"."""
    return not match["unit"] or match["gap"] != "" or _unit(match) != ""


def _unit(match: re.Match[str]) -> str:
    written = (match["unit"] or "").lstrip(" -")
    unit = UNITS.get(written.removeprefix("degrees ").removeprefix("degree "), "")
    if unit and written in TIGHT and match["gap"]:
        unit = ""
    if match["currency"]:
        money = UNITS[match["currency"].strip()]
        return money if unit in {"", money} else f"{money} {unit}"
    if written.startswith("degree") and not unit:
        return "degree"
    return unit


def _read(match: re.Match[str]) -> list[str]:
    if not _attached(match):
        return []
    sign, digits, unit = match["sign"], match["digits"], _unit(match)
    after = match.string[match.end("digits") : match.end("digits") + 1]
    if not match["unit"] and not match["ordinal"] and after.isascii() and after.isalnum():
        return []  # "4k8" is an identifier
    if (unit in {"am", "pm"} or ":" in digits) and (time := time_of_day(digits, unit)):
        return [time]
    values = _values(digits, measured=unit != "")
    return [f"{sign}{value} {unit}" if unit else sign + value for value in values]


def _values(digits: str, *, measured: bool) -> list[str]:
    if _PLAIN.fullmatch(digits):
        return [_plain(digits, measured=measured)]
    if _GROUPED.fullmatch(digits):
        return [_plain(re.sub("[,' ]", "", digits), measured=measured)]
    if date := _DATE.fullmatch(digits):
        first, mark, second, third = date.groups()
        mark = "-" if len(first) == 4 else mark  # the year first: day and month are certain
        return [mark.join((first, second.lstrip("0"), third.lstrip("0")))]
    if ":" in digits or "/" in digits or digits.count(",") == 1:
        return [digits]  # a ratio, a fraction, or a comma that may be a decimal one
    return [_plain(part, measured=measured) for part in re.split("[,' -]", digits) if part]


def _plain(digits: str, *, measured: bool) -> str:
    """Return the value without what carries nothing: a measure may drop zeros, "3.10" may not."""
    whole, dot, fraction = digits.partition(".")
    whole = whole.lstrip("0") or "0" if dot or len(whole) <= 2 else whole
    doubtful = len(fraction) == 3 and whole != "0"  # "1.000" may be a thousand
    if measured and not doubtful:
        fraction = fraction.rstrip("0")
    return whole + dot + fraction if fraction else whole
