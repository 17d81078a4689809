"""Names by their case: acronyms, camelCase, and capitals in the middle of a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .units import UNITS

# Latin only: other scripts that have capitals inflect their names.
_WORD = re.compile(r"(?<![^\W_])[A-Za-z0-9\u00c0-\u024f]+(?![^\W_])")
_ENDS = tuple(".!?:;…")
_TITLES = frozenset("dr mr mrs ms prof st vs no".split())  # their full stop ends no sentence
_OPENS = tuple("\"'`“«([{*-•>#|")
_INITIALS = 3  # two letters meet by chance
_BULLETS = frozenset("- * • > # ## ###".split())
# A writer who capitalises these capitalises everything.
_SMALL = frozenset(
    "To The My An In Of On For And Is Are With Do Does It You Your From At By Or Be Can".split()
)
# German writes every noun with a capital.
_GERMAN = frozenset("und der das ist nicht ich eine einen wie für mit auf zu".split())


def names(text: str, words: frozenset[str]) -> tuple[str, ...]:
    """Return the names of ``text``, case-folded, sorted, each once. ``words`` are its words."""
    if text.islower() or text.isupper() or not words.isdisjoint(_GERMAN):
        return ()
    shaped, capitals, small = set(), set(), False
    for line in text.splitlines():
        starts = True
        for token in line.split():
            if token in _BULLETS:
                continue
            if not token.islower():
                opens = starts or token.startswith(_OPENS)
                for word in _WORD.findall(token):
                    if word[1:] != word[1:].lower():
                        shaped.add(word.casefold())
                    elif not opens and word[0].isupper() and word not in {"I", "A"}:
                        capitals.add(word.casefold())
                        small = small or word in _SMALL
                    opens = False
            starts = token.endswith(_ENDS) and token.rstrip(".").casefold() not in _TITLES
    found = shaped if small or _all_capitals(capitals, text) else shaped | capitals
    return tuple(sorted(name for name in found & words if len(name) == 1 or name not in UNITS))


def lacking(names: Iterable[str], words: Sequence[str]) -> bool:
    """Say whether any of ``names`` is not among ``words``, which are in the order of the text.

    Singular and plural are one name, and so are "NDA" and "non-disclosure agreement".
    """
    return any(
        name not in words
        and f"{name}s" not in words
        and name.removesuffix("s") not in words
        and (len(name) < _INITIALS or name not in "".join(word[0] for word in words))
        for name in names
    )


def _all_capitals(capitals: set[str], text: str) -> bool:
    """Say whether no longer word of a text with several capitals is written small: a headline."""
    return len(capitals) > 2 and not any(
        word.islower() and len(word) > 3 for word in text.split()[1:]
    )
