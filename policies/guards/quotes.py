"""Quoted strings and code: what stands in quotes is meant to the letter."""

from __future__ import annotations

import hashlib
import re

# An opening mark may not occur inside: every character is then read a bounded number of times.
_QUOTED = re.compile(
    r"```(?P<code>(?:[^`]|`(?!``))*+)```"
    r'|"([^"\n]{1,400})"|“([^“”\n]{1,400})”|«([^«»\n]{1,400})»|`([^`\n]{1,400})`'
    # An apostrophe ("don't", "users' files") neither opens nor closes a quotation.
    r"|(?<!\w)'([^\s'](?:[^'\n]|(?<=\w)'(?=\w)){0,399})'(?!\w)"
)
_LONG = 64


def quotes(text: str) -> tuple[str, ...]:
    """Return the quoted strings of ``text``, whatever the marks, sorted, each once.

    White space at the ends is cut; long ones and blocks of code are given by their digest.
    """
    if not any(mark in text for mark in "\"'`“«"):
        return ()
    found = set()
    for match in _QUOTED.finditer(text):
        quoted = next(group for group in match.groups() if group is not None).strip()
        if len(quoted) > _LONG or match["code"] is not None:
            quoted = (
                "\0" + hashlib.blake2b(quoted.encode(errors="replace"), digest_size=8).hexdigest()
            )
        found.add(quoted)
    return tuple(sorted(found)) if found else ()
