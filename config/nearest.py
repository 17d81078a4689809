"""The known word that the writer of an unknown one most likely meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

_CUTOFF = 0.5  # of difflib's ratio; below it two words have little in common


def nearest(word: str, known: Iterable[str], said_instead: Mapping[str, str] | None = None) -> str:
    """Return ``nearest: "x"``, or all that is known where nothing is near.

    ``said_instead`` maps other words for the same things to known ones.
    """
    names = list(known)
    lowered = {name.lower(): name for name in reversed(names)}
    meant = {**(said_instead or {}), **lowered}
    found = difflib.get_close_matches(word.lower(), meant, n=1, cutoff=_CUTOFF)
    return f'nearest: "{meant[found[0]]}"' if found else f"known: {', '.join(names)}"
