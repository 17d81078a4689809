"""Identifiers by their shape: order numbers, versions, flags, paths, addresses, names in code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .numbers import is_quantity

_PIECE = re.compile(r"[^\s()\[\]{}<>,;:\"'`=|&!?“”«»]+(?:\(\))?")
_AROUND_LATIN = re.compile(r"[!-~\u00c0-\u024f]+")
_FLAG = re.compile(r"--?[A-Za-z][\w-]*")
_COMPOUND = re.compile(r"\d+(?:-[a-z]+)+")  # "5-minute", "20-year-old"
_MIXED = re.compile(r"[\w+-]*")
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")


def identifiers(text: str) -> tuple[str, ...]:
    """Return what is an identifier by its shape, case-folded, sorted, each once.

    Plain words and plain numbers are not among it.
    """
    found = {item for piece in _pieces(text) if (item := _identifier(piece))}
    return tuple(sorted(found)) if found else ()


def _pieces(text: str) -> Iterator[str]:
    for piece in _PIECE.findall(text):
        if piece.isalpha():
            continue
        if piece.isascii():
            yield piece
        else:  # scripts without spaces write their words onto it
            yield from _AROUND_LATIN.findall(piece)


def _identifier(piece: str) -> str:
    """Return the identifier that ``piece`` is, "" if it is none."""
    item = piece.rstrip(".-*~/").casefold()
    if not item or item.isalpha() or item.isdigit():
        return ""
    shaped = (
        item.endswith("()")
        or "_" in item
        or "@" in item
        or (item[0] in "$#%" and item[1:2].isalpha())
        or (item[-1] in "+#" and item[0].isalpha())
        or _FLAG.fullmatch(item) is not None
        or _is_path(item)
        or _is_dotted(item)
        or _is_mixed(item)
    )
    return item.removeprefix("*") if shaped and not is_quantity(item) else ""


def _is_path(item: str) -> bool:
    """Say whether it is a path or the tail of a URL; "and/or" and "km/h" are not."""
    return "/" in item and not all(part.isalpha() for part in item.split("/"))


def _is_dotted(item: str) -> bool:
    parts = item.lstrip("*").split(".")
    return len(parts) > 1 and all(part.replace("-", "").isalnum() for part in parts[1:])


def _is_mixed(item: str) -> bool:
    """Say whether letters and digits are mixed, as in "ORD-1234", "v2", "python3"."""
    return (
        any(map(str.isdigit, item))
        and any(map(str.isalpha, item))
        and _MIXED.fullmatch(item) is not None
        and _COMPOUND.fullmatch(item) is None
        and _ORDINAL.fullmatch(item) is None
    )
