"""Rows as a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Column = tuple[str, Callable[[str, int], str]]  # heading, and how a cell is filled up to a width


def grid(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Lay out ``rows`` under the headings of ``columns``. Ends without a newline."""
    headings = [heading for heading, _ in columns]
    widths = [max(len(row[n]) for row in (headings, *rows)) for n in range(len(headings))]
    ruler = ["-" * width for width in widths]
    return "\n".join(
        "  ".join(columns[n][1](row[n], widths[n]) for n in range(len(headings))).rstrip()
        for row in (headings, ruler, *rows)
    )
