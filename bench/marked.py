"""The part of a page that a script writes: what stands between two marks."""

from __future__ import annotations

from pathlib import Path


def replace(path: Path, marks: tuple[str, str], body: str) -> None:
    """Put ``body`` between ``marks`` in ``path``, an empty line on either side.

    Ends the script when a mark is missing.
    """
    begin, end = marks
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{path} lacks {begin} or {end}")
    text = f"{before}{begin}\n\n{body.strip()}\n\n{end}{after}"
    path.write_text(text, encoding="utf-8")
