"""Tags of an answer: names that callers give it, so that all of one name can be invalidated."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 16
LONGEST = 64  # characters
SHAPE = f"up to {LONGEST} letters, digits and . _ : / @ -"
_TAG = re.compile(rf"[A-Za-z0-9._:/@-]{{1,{LONGEST}}}", re.ASCII)


def is_tag(text: str) -> bool:
    """Say whether ``text`` can be a tag."""
    return _TAG.fullmatch(text) is not None


def tags_of(texts: Iterable[object]) -> tuple[str, ...] | None:
    """Return the tags, each once and in order; None when one is none, or there are too many."""
    found: set[str] = set()
    for text in texts:
        if not isinstance(text, str) or not is_tag(text):
            return None
        found.add(text)
    return tuple(sorted(found)) if len(found) <= MOST else None
