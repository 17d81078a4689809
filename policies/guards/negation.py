"""Negation: whether a text asks for the thing or for its opposite."""

from __future__ import annotations

import re

# What a person says on asking for help negates nothing: "I can't log in" asks how to log in.
_HEDGE = re.compile(
    r"\b(?:i|we)\s+(?:do\s+not|don't|dont|cannot|can\s+not|can't|cant|could\s+not|couldn't|"
    r"did\s+not|didn't|am\s+not|are\s+not|was\s+not|wasn't)\s+"
    r"(?:know|sure|understand|remember|recall|find|locate|figure|see|get|seem|able|tell|access|"
    r"reach|connect|log|login|sign|open)\b"
    r"|\bi(?:'m|\s+am)\s+(?:not\s+(?:sure|able|certain)|unable)\b"
    r"|\b(?:why\s+not|if\s+not|or\s+not|whether\s+or\s+not|not\s+only|no\s+matter|no\s+problem)\b|\bno,"
    r"|\b(?:isn't|aren't|doesn't|don't|won't|can't)\s+(?:it|there|that|you|they|we)\b"
    r"|\b(?:yes\s+or\s+no|no\.?\s*(?=\d)|neither(?=[^.?!]{0,60}\bnor\b))"
)
_NEGATOR = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|cant|dont|doesnt|wont|"
    r"isnt|arent|didnt|shouldnt|mustnt|except|excluding|unless|unable|"
    r"avoid(?:ing)?|prevent(?:s|ing)?|instead(?= of))\b|n't\b"
)


def negations(folded: str) -> int:
    """Return 0 for none, 1 for an odd number of them, 2 for an even one; hedges left out.

    English only. Two negations seldom make the plain statement, so 2 is not 0.
    """
    found = len(_NEGATOR.findall(folded))
    if found:
        found = len(_NEGATOR.findall(_HEDGE.sub(" ", folded)))
    return 2 - found % 2 if found else 0
