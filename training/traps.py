"""Changes after which another answer is due, though most words stay."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from .lexicon import lexicon, splice, swap_in

Change = Callable[[str, Random], str | None]

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
NEGATION = re.compile(r"\b(?:not|never) |n't\b|\bwithout\b")
AUXILIARY = re.compile(
    r"\b((?i:is|are|was|were|do|does|did|could|should|would|must|has|have|can)) "
    r"(I|you|we|they|it|he|she|[A-Z]\w+)\b"
)
EXCHANGE = re.compile(
    r"\b(?P<a>[\w.+#'-]+(?: [A-Z][\w.+#'-]+)?) (?P<link>to|into|than|instead of|over|before|after|"
    r"from|for) (?P<b>(?:the |a |my )?[\w.+#'-]+(?: [A-Z][\w.+#'-]+)?)"
)
FROM_TO = re.compile(r"\b(from) (.+?) (to|into) ([\w .+#'-]+?)(?=[?.!,]|$| by | in | for | on )")
STOP = frozenset(
    "the a an of do does did is are was were i you we they it he she my your how what who why when "
    "where which can could should will would me way able need want have has been be going due "
    "used up out get got look close not".split()
)


def negated(text: str, random: Random) -> str | None:
    """Take a negation away or put one in."""
    found = list(NEGATION.finditer(text))
    if found and "without" not in found[0][0]:
        text = re.sub(r"\b([Cc])an't\b", r"\1an", re.sub(r"\b([Ww])on't\b", r"\1ill", text))
        return NEGATION.sub("", text, count=1) if NEGATION.search(text) else text
    if found:
        return text.replace("without", "with", 1)
    if match := AUXILIARY.search(text):
        # "Isn't it ...?" asks what "Is it ...?" asks; "Why isn't it ...?" does not.
        if re.match(r"(?i)(why|what|which|who|when|where)\b", text) and match[1] != "can":
            return text[: match.end(1)] + "n't" + text[match.end(1) :]
        return f"{text[: match.end()]} not{text[match.end() :]}"
    if match := re.search(r"\b(that is|that are|are|is) (?=\w+)", text):
        return f"{text[: match.end()]}not {text[match.end() :]}"
    if re.match(r"[A-Z][a-z]+e? (?:the|a|an|this|my|all|every)\b", text):
        return random.choice(("Do not ", "Don't ", "Never ")) + text[:1].lower() + text[1:]
    return None


def opposite(text: str, random: Random) -> str | None:
    """Take the antonym of a word."""
    return swap_in(text, "antonyms", random)


def prefixed(text: str, random: Random) -> str | None:
    """Add or take away un-, non-, in- or dis-."""
    return swap_in(text, "prefixed", random)


def requantified(text: str, random: Random) -> str | None:
    """Take another quantifier."""
    return swap_in(text, "quantifiers", random)


def renamed(text: str, random: Random) -> str | None:
    """Take another name of the same kind."""
    return swap_in(text, "names", random)


def renumbered(text: str, random: Random) -> str | None:
    """Change one number: a digit, the order of its digits, its size or its neighbour."""
    found = list(NUMBER.finditer(text))
    names = lexicon().lists["numbers"]
    if not found:
        match = re.search(rf"\b(?:{'|'.join(names[2:])})\b", text)
        others = [n for n in names[2:] if match is None or n != match[0]]
        return splice(text, match, random.choice(others)) if match else None
    match = random.choice(found)
    old = match[0]
    at = random.randrange(len(old))
    while not old[at].isdigit():
        at = random.randrange(len(old))
    digit = random.choice([d for d in "0123456789" if d != old[at] and (d != "0" or at)])
    ways = [old[:at] + digit + old[at + 1 :]]
    if old.isdigit():
        ways += [str(int(old) + random.choice((1, 2, 5, 10))), old + "0"]
    if len(old) > 2 and old[-1] != old[-2] and old[-2:].isdigit():
        ways.append(old[:-2] + old[-1] + old[-2])
    new = random.choice(ways)
    return text[: match.start()] + new + text[match.end() :] if new != old else None


def restricted(text: str, random: Random) -> str | None:
    """Add a restriction."""
    return _appended(text, random.choice(lexicon().lists["restrictions"]))


def reformatted(text: str, random: Random) -> str | None:
    """Ask for another form, length or language."""
    if not re.match(
        r"(?i)(explain|describe|summari|write|what (?:is|are)|give|list|tell|draft|"
        r"create|generate|outline|clarify|how (?:does|do)|show|provide)",
        text,
    ):
        return None
    return _appended(text, random.choice(lexicon().lists["formats"]))


def retimed(text: str, random: Random) -> str | None:
    """Change or add a time."""
    times = lexicon().lists["times"]
    match = re.search(rf"(?i)\b(?:{'|'.join(times)})\b", text)
    others = [t for t in times if match is None or t != match[0].lower()]
    if match:
        return splice(text, match, random.choice(others))
    return _appended(text, " " + random.choice(others)) if random.random() < 0.3 else None


def redirected(text: str, random: Random) -> str | None:
    """Exchange what stands on the two sides of from ... to, than, before and the like."""
    if re.search(r"(?i)\b(differ\w*|compar\w*|versus|vs|between)\b", text):
        return None  # the two sides are equals
    match = FROM_TO.search(text)
    if match:
        swapped = f"{match[1]} {match[4]} {match[3]} {match[2]}"
        return text[: match.start()] + swapped + text[match.end() :]
    links = [
        m
        for m in EXCHANGE.finditer(text)
        if not {m["a"].lower(), m["b"].lower()} & STOP and m["a"].lower() != m["b"].lower()
    ]
    if not links:
        return None
    match = random.choice(links)
    swapped = f"{match['b']} {match['link']} {match['a']}"
    return text[: match.start()] + swapped + text[match.end() :]


def _appended(text: str, tail: str) -> str | None:
    if tail.strip().lower() in text.lower():
        return None
    body = text.rstrip("?.! ")
    return body + tail + text[len(body) :].rstrip()


CHANGES: tuple[Change, ...] = (
    negated,
    opposite,
    prefixed,
    requantified,
    renamed,
    renumbered,
    restricted,
    reformatted,
    retimed,
    redirected,
)
WEIGHTS = (6, 6, 5, 4, 6, 7, 3, 2, 2, 7)


def alter(text: str, random: Random) -> tuple[str, str] | None:
    """Return ``text`` changed by one rule and the rule's name, or None when none applied."""
    for _ in range(6):
        change = random.choices(CHANGES, WEIGHTS)[0]
        changed = change(text, random)
        if changed is not None and changed.lower() != text.lower():
            return " ".join(changed.split()), change.__name__
    return None
