"""Quoted strings: what stands in quotes is meant to the letter."""

from __future__ import annotations

import re

_QUOTED = re.compile(
    r'"([^"\n]{1,400})"|“([^”\n]{1,400})”|«([^»\n]{1,400})»|`([^`\n]{1,400})`'
    r"|(?<!\w)'([^'\n]{1,400})'(?!\w)"
)


def quotes(text: str) -> frozenset[str]:
    """Return the quoted strings of ``text``, whatever the marks; white space at the ends is cut."""
    return frozenset(
        next(group for group in match.groups() if group is not None).strip()
        for match in _QUOTED.finditer(text)
    )
