"""Negation parity: does the text ask for the thing, or for its opposite?"""

from __future__ import annotations

import re

# What a person says on asking for help negates nothing: "I can't log in" asks how to log in.
_HEDGE = re.compile(
    r"\b(?:i|we)\s+(?:do\s+not|don't|dont|cannot|can\s+not|can't|cant|could\s+not|couldn't|"
    r"did\s+not|didn't|am\s+not|are\s+not|was\s+not|wasn't)\s+"
    r"(?:know|sure|understand|remember|find|figure|see|get|seem|able)\b"
    r"|\bi(?:'m|\s+am)\s+(?:not\s+(?:sure|able|certain)|unable)\b"
    r"|\bunable\s+to\b"
    r"|\b(?:i|we)\s+(?:cannot|can\s+not|can't|cant)\b"
    r"|\b(?:why\s+not|if\s+not|or\s+not|whether\s+or\s+not|not\s+only|no\s+matter|no\s+problem)\b"
    r"|\b(?:isn't|aren't|doesn't|don't|won't|can't)\s+(?:it|there|that|you|they|we)\b"
)
_NEGATOR = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|cant|dont|doesnt|wont|"
    r"isnt|arent|didnt|shouldnt|mustnt|except|excluding|unless|instead)\b|n't\b"
)


def negated(folded: str) -> bool:
    """Say whether case-folded English text negates an odd number of times, hedges left out."""
    return len(_NEGATOR.findall(_HEDGE.sub(" ", folded))) % 2 == 1
