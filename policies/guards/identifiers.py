"""Identifiers and names: order numbers, versions, flags, paths, names in code, acronyms, units."""

from __future__ import annotations

import re

# What is an identifier by its shape, whatever its case.
_IDENTIFIER = re.compile(
    r"(?<!\w)(?:"
    r"--?[A-Za-z][\w-]*"  # a flag
    r"|(?:[\w.~-]*/)+[\w.-]+"  # a path, the tail of a URL
    r"|\w+(?:_\w+)+"  # snake_case
    r"|\w+(?:\.\w+)+(?:\(\))?"  # dotted.name, file.ext, 1.2.3
    r"|\w+\(\)"  # a call
    r"|(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"  # ORD-1234, v2, python3
    r")"
)
# What is a name only by its case, which people do not always type.
_NAME = re.compile(r"\b(?:[A-Z]{2,}[A-Z0-9]*|[A-Za-z]*[a-z][A-Z]\w*)\b")
_QUANTITY = re.compile(r"(?<![\w.,])(\d+(?:[.,]\d+)*)([^\W\d_]{1,3})(?!\w)")
_WORD = re.compile(r"[^\W_]+")


def apart(text: str) -> str:
    """Part numbers from the units written onto them: "5kg" becomes "5 kg"."""
    return _QUANTITY.sub(r"\1 \2", text)


def identifiers(text: str) -> frozenset[str]:
    """Return what is an identifier by its shape, case-folded. Plain numbers are not among it."""
    found = (match.group().rstrip(".") for match in _IDENTIFIER.finditer(text))
    return frozenset(item.casefold() for item in found if not _is_number(item))


def names(text: str) -> frozenset[str]:
    """Return what is a name by its case: acronyms, currencies, camelCase; case-folded."""
    return frozenset(match.group().casefold() for match in _NAME.finditer(text))


def units(text: str) -> frozenset[str]:
    """Return the short units written onto numbers ("5kg"), case-folded."""
    return frozenset(match.group(2).casefold() for match in _QUANTITY.finditer(text))


def words(folded: str) -> frozenset[str]:
    """Return the words of case-folded text."""
    return frozenset(_WORD.findall(folded))


def _is_number(item: str) -> bool:
    return item.replace(".", "").isdigit() and item.count(".") <= 1
