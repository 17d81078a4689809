"""Small changes that leave the answer as it is: another opening, another place of a phrase.

Without them nearly all nearly equal texts in training are traps, and the scorer takes every small
change for one.
"""

from __future__ import annotations

import re
from random import Random

OPENINGS: tuple[tuple[str, ...], ...] = (
    (
        "How do I",
        "How can I",
        "How to",
        "How would I",
        "How should I",
        "What is the way to",
        "What's the best way to",
        "I want to know how to",
        "Show me how to",
        "Please explain how to",
        "What do I need to do to",
        "I don't know how to",
        "I need help to",
        "Steps to",
    ),
    ("Can I", "Could I", "May I", "Am I able to", "Am I allowed to", "Is it possible to"),
    ("Where can I find", "Where do I find", "Where would I find", "Where do I get to see"),
    ("What is", "What's", "whats", "Tell me", "Could you tell me", "I'd like to know"),
    ("When is", "When's", "Tell me when to expect", "What is the time of"),
    ("I want to", "I'd like to", "I would like to", "I need to", "I wish to", "I'm trying to"),
    ("Why is", "How come", "For what reason is", "What is the reason that"),
    ("Write", "Please write", "Can you write", "Could you write me", "I need you to write"),
    ("Explain", "Please explain", "Can you explain", "Could you explain to me"),
    ("Give me", "I need", "Can you give me", "Please provide", "I'd like to get"),
)
UNSAFE = frozenset({"When is", "Why is"})  # their others need another order of words
OWNED = re.compile(r"\b(?:my|our|an?|the)\b")
ASKS_HOW = re.compile(
    r"(?i)^(?:how (?:do|can|to|would|should)|where|can i|could i|i (?:want|need)|help|steps)"
)
TAIL = re.compile(
    r"^(?P<body>.{12,}?) (?P<tail>(?:in|on|at|for|with|during|after|before|without|while) "
    r"[\w' -]{3,30})(?P<end>[?.!]?)$"
)
INSIDE = re.compile(
    r"^(?P<head>.*\b(?:will|does|do|did|can|should|would|is|are)) "
    r"(?P<thing>(?:an?|the|my|your|our) \w+) (?P<verb>\w+(?: \w+)?) "
    r"(?P<tail>(?:from|to|in|on|at|for|with|by) [\w' -]{3,25})(?P<end>[?.!]?)$"
)


def reopened(text: str, random: Random) -> str | None:
    """Take another opening of the same kind."""
    for group in OPENINGS:
        for opening in sorted(group, key=len, reverse=True):
            if opening not in UNSAFE and text.lower().startswith(opening.lower() + " "):
                others = [one for one in group if one != opening and one not in UNSAFE]
                if group[0] in UNSAFE:
                    return None
                new = random.choice(others) + text[len(opening) :]
                return new.rstrip("?") if re.match(r"(?i)show|please|i |tell|steps", new) else new
    return None


def owned(text: str, random: Random) -> str | None:
    """Say "the" or "an" for "my" and the other way round, where somebody asks how or where."""
    found = list(OWNED.finditer(text))
    if not found or not ASKS_HOW.match(text):
        return None
    match = random.choice(found)
    after = text[match.end() :].lstrip()
    article = "an" if after[:1].lower() in "aeio" else "a"
    plural = after.split(" ", 1)[0].rstrip("?.!").endswith("s")
    others = ("my", "the") if plural else ("my", "the", article)
    new = random.choice([word for word in others if word != match[0]])
    return text[: match.start()] + new + text[match.end() :]


def fronted(text: str, random: Random) -> str | None:
    """Put a phrase from the end to the front."""
    match = TAIL.match(text)
    if match is None:
        return None
    body, tail = match["body"], match["tail"]
    if random.random() < 0.7:
        tail = tail[:1].upper() + tail[1:]
    return f"{tail}, {body[:1].lower() + body[1:] if body[:2] != 'I ' else body}{match['end']}"


def drawn_in(text: str, random: Random) -> str | None:
    """Put a phrase from the end behind the thing that it speaks of."""
    del random
    match = INSIDE.match(text)
    if match is None:
        return None
    return f"{match['head']} {match['thing']} {match['tail']} {match['verb']}{match['end']}"


def unarticled(text: str, random: Random) -> str | None:
    """Leave out an article, as in notes."""
    found = list(re.finditer(r"(?<= )(?:the|an?) (?=\w)", text))
    if not found:
        return None
    match = random.choice(found)
    return text[: match.start()] + text[match.end() :]
