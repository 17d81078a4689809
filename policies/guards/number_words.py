"""Numbers written as words, turned into digits: "two hundred" is "200"."""

from __future__ import annotations

import re

from .units import UNITS

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()

_VALUES = {word: value for value, word in enumerate(_SMALL)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
}
_SINGLE = {"dozen": "12", "half": "0.5", "twice": "2"} | {
    word: str(value) for value, word in enumerate(_ORDINALS, start=1)
}
# "which one", "one of": "one" is a number only before a scale or a unit.
_OTHERS = frozenset({*_VALUES, *_SCALES, *_SINGLE}) - {"one"}
_PHRASE = re.compile(
    r"(?<![\w.])(?:(?:(?<!,)(\d[\d.,]*+)|an?) (?=(?:{0})\b))?"
    r"(?:{1})(?:[ -](?:and )?(?:{1}))*+(?![\w])".replace("{0}", "|".join(_SCALES)).replace(
        "{1}", "|".join((*_VALUES, *_SCALES))
    )
)
_SINGLES = re.compile(r"(?<![\w.])(?:an? (?=dozen))?(" + "|".join(_SINGLE) + r")(?!\w)")
# "first, do this" and "every second" count nothing; "the first", "my second" do.
_COUNTED = re.compile(r"\b(?:the|my|your|his|her|its|our|their|this|that) \Z")
_PART = re.compile(r" (?:an?|of|the)\b")
_MOST = 16  # words that anyone spells a number with
_NEXT = re.compile(r"[ -]([a-z]+)")


def spelled_out(folded: str, words: frozenset[str]) -> str:
    """Return case-folded text with its number words as digits. ``words`` are those of the text."""
    if _OTHERS.isdisjoint(words) and ("one" not in words or UNITS.keys().isdisjoint(words)):
        return folded
    folded = _PHRASE.sub(_digits, folded)
    return folded if _SINGLE.keys().isdisjoint(words) else _SINGLES.sub(_single, folded)


def _digits(match: re.Match[str]) -> str:
    phrase = match.group().replace("-", " ").split()
    if match.group(1):  # "1.5 million", "20 thousand"
        return _scaled(match.group(1).replace(",", ""), phrase[1:]) or match.group()
    if phrase == ["one"]:
        after = _NEXT.match(match.string, match.end())
        return "1" if after and after.group(1) in UNITS else "one"
    if phrase[0] in _SCALES or len(phrase) > _MOST:  # "several thousand"
        return match.group()
    return " ".join(map(str, _values([word for word in phrase if word not in {"a", "an"}])))


def _scaled(number: str, scales: list[str]) -> str | None:
    whole, _, fraction = number.partition(".")
    zeros = sum(len(str(_SCALES[word])) - 1 for word in scales if word in _SCALES)
    if len(fraction) > zeros or "." in fraction or any(word not in _SCALES for word in scales):
        return None
    return (whole + fraction.ljust(zeros, "0")).lstrip("0") or "0"


def _values(phrase: list[str]) -> list[int]:
    """Return the numbers that a row of number words names: "two three" are two of them."""
    found: list[int] = []
    total, part, last = 0, None, 0  # last: the least that may still be added
    for word in phrase:
        if word == "and":
            continue
        if word in _SCALES:
            scale = _SCALES[word]
            if scale == 100:
                part, last = (1 if part is None else part) * 100, 100
            else:
                total, part, last = total + (1 if part is None else part) * scale, None, scale
            continue
        value = _VALUES[word]
        fits = last >= 100 or (20 <= last < 100 and value < 10)
        if part is not None and not fits:
            found.append(total + part)
            total, part = 0, None
        part, last = (part or 0) + value, value
    return [*found, total + (part or 0)]


def _single(match: re.Match[str]) -> str:
    word, text = match.group(1), match.string
    if word in {"first", "second"}:
        counts = _COUNTED.search(text[max(0, match.start() - 7) : match.start()])
    elif word == "half":
        counts = _PART.match(text, match.end())
    else:
        counts = None if text.startswith((" party", "-party"), match.end()) else match
    return _SINGLE[word] if counts else match.group()
