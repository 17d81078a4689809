"""Changes that leave the answer as it is: manners, noise and spelling."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from .lexicon import lexicon, splice, swap_in
from .light_changes import drawn_in, fronted, owned, reopened, unarticled

Change = Callable[[str, Random], str | None]

FILLERS = frozenset(
    "the a an of do does did is are was were i my me to for can could you please in it there would "
    "be what how which".split()
)
BESIDE = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiopqsdfghjkldxcvbnmn", strict=True))
KEEP = frozenset("not no without never from to before after than except".split())


def courteous(text: str, random: Random) -> str | None:
    """Add a greeting, an opening or a closing."""
    lists = lexicon().lists
    body = _lower_first(text)
    roll = random.random()
    if roll < 0.35:
        return random.choice(lists["greetings"]) + random.choice((body, text))
    if roll < 0.65:
        opener = random.choice(lists["openers"])
        return random.choice((opener, opener.capitalize())) + body
    closer = random.choice(lists["closers"])
    return (text.rstrip("?.! ") if closer[0] in " ,?!" else text) + closer


def hedged(text: str, random: Random) -> str | None:
    """Put in an adverb that changes nothing, after the first auxiliary."""
    match = re.search(r"\b(?:is|are|do|does|can|should|will) (?:I|you|we|it|they)\b ?", text)
    if match is None:
        return None
    adverb = random.choice(lexicon().lists["adverbs"])
    return f"{text[: match.end()].rstrip()} {adverb} {text[match.end() :]}"


def retyped(text: str, random: Random) -> str | None:
    """Change case, end mark or spacing."""
    ways: tuple[Callable[[], str], ...] = (
        text.lower,
        lambda: text.rstrip("?.! ").lower(),
        lambda: text.rstrip("?.! "),
        text.upper,
        lambda: text.rstrip("?.! ") + random.choice(("?", "??", " ?", ".", "!", "...")),
        lambda: text.replace("'", ""),
        lambda: text.replace("'", "\u2019"),
    )
    return random.choice(ways)()


def mistyped(text: str, random: Random) -> str | None:
    """Make one or two typing errors, in long words of small letters only."""
    for _ in range(random.choice((1, 1, 2))):
        words = list(re.finditer(r"\b[a-z]{5,}\b", text))
        if not words:
            return None
        match = random.choice(words)
        word, at = match[0], random.randrange(1, len(match[0]) - 1)
        typo = random.choice(
            (
                word[:at] + word[at + 1 :],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + word[at] + word[at:],
                word[:at] + BESIDE[word[at]] + word[at + 1 :],
            )
        )
        text = text[: match.start()] + typo + text[match.end() :]
    return text


def hummed(text: str, random: Random) -> str | None:
    """Put in what people say while they think, as dictation writes it down."""
    gaps = [gap.start() for gap in re.finditer(r"(?<=[a-z]) (?=[a-z])", text)]
    if not gaps:
        return None
    at = random.choice(gaps)
    return f"{text[:at]} {random.choice(lexicon().lists['hums'])}{text[at:]}"


def obliged(text: str, random: Random) -> str | None:
    """Take another verb or frame of the same force: "must I" for "do I have to"."""
    return swap_in(text, "frames", random)


def contracted(text: str, random: Random) -> str | None:
    """Contract two words or write them out."""
    return swap_in(text, "contractions", random)


def respelled_number(text: str, random: Random) -> str | None:
    """Write a small number as a word or as digits, or a period in another unit."""
    period = swap_in(text, "periods", random)
    if period is not None and random.random() < 0.7:
        return period
    names = lexicon().lists["numbers"]
    match = re.search(r"(?<![\d.,$#-])\b\d{1,2}\b(?![.,:%-]?\d)", text)
    if match and int(match[0]) < len(names):
        return splice(text, match, names[int(match[0])])
    match = re.search(rf"\b(?:{'|'.join(names[2:])})\b", text)
    return splice(text, match, str(names.index(match[0]))) if match else None


def keyworded(text: str, random: Random) -> str | None:
    """Reduce to what one types into a search box: no fillers, sometimes in another order."""
    if re.search(r"\bnot\b|n't\b|\bfrom\b|\bthan\b|\bbut\b|,", text):
        return None
    words = text.rstrip("?.! ").split()
    kept = [w for w in words if w.lower() not in FILLERS or w.lower() in KEEP]
    if not 2 <= len(kept) < len(words):
        return None
    if re.match(r"(?i)(why|when|who|where|how (?:many|much|long|often))\b", text):
        return " ".join(kept).lower()
    if not any(w.lower() in KEEP for w in words) and random.random() < 0.4:
        cut = random.randrange(1, len(kept))
        kept = kept[cut:] + kept[:cut]
    return " ".join(kept).lower()


def reworded(text: str, random: Random) -> str | None:
    """Take another word for the same thing."""
    return swap_in(text, "synonyms", random)


def turned(text: str, random: Random) -> str | None:
    """Exchange the two sides of something that has no direction."""
    del random
    match = re.search(r"\b(difference between|distance between) (\w+) and (\w+)\b", text)
    if match is None:
        return None
    return f"{text[: match.start()]}{match[1]} {match[3]} and {match[2]}{text[match.end() :]}"


CHANGES: tuple[Change, ...] = (
    courteous,
    hedged,
    retyped,
    mistyped,
    hummed,
    obliged,
    contracted,
    respelled_number,
    keyworded,
    reworded,
    turned,
    reopened,
    owned,
    fronted,
    drawn_in,
    unarticled,
)
WEIGHTS = (5, 3, 3, 9, 3, 9, 2, 6, 4, 12, 3, 12, 8, 8, 4, 4)


def restate(text: str, random: Random) -> tuple[str, str] | None:
    """Return ``text`` changed by one to three rules and what was done, or None."""
    done = []
    for _ in range(random.choice((1, 2, 2, 3))):
        change = random.choices(CHANGES, WEIGHTS)[0]
        changed = change(text, random)
        if changed is not None and changed != text:
            text = " ".join(changed.split())
            done.append(change.__name__)
    return (text, "+".join(done)) if done else None


def _lower_first(text: str) -> str:
    first = text.split(" ", 1)[0]
    return text[:1].lower() + text[1:] if first.istitle() and first != "I" else text
