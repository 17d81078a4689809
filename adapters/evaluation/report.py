"""Reports as text, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from .intervals import Share
from .tables import Reports, Table


def as_text(tables: Sequence[Table]) -> str:
    """Lay tables out for a terminal."""
    blocks = []
    for table in tables:
        lines = [table.columns, *table.rows]
        widths = [max(len(line[n]) for line in lines) for n in range(len(table.columns))]
        laid = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
        laid.insert(1, "  ".join("-" * width for width in widths))
        blocks.append("\n".join([table.title, "", *laid, *([table.note] if table.note else [])]))
    return "\n\n".join(blocks) + "\n"


def as_markdown(tables: Sequence[Table], command: str) -> str:
    """Render tables for a page, with the ``command`` that makes them."""
    blocks = [f"Made by:\n\n```sh\n{command}\n```"]
    for table in tables:
        ruler = [":--", *("--:" for _ in table.columns[1:])]
        lines = [table.columns, ruler, *table.rows]
        grid = "\n".join("| " + " | ".join(_escaped(line)) + " |" for line in lines)
        blocks += [f"### {table.title}", grid, *([table.note] if table.note else [])]
    return "\n\n".join(blocks) + "\n"


def as_json(reports: Reports) -> str:
    """Render reports for machine readers: all counts, shares and intervals."""
    return json.dumps([plain(report) for report in reports], indent=2, ensure_ascii=False) + "\n"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = cells
    right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
    return [first.ljust(widths[0]), *right]


def _escaped(cells: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells]


def plain(value: Any) -> Any:
    """Return ``value`` as what JSON can hold: objects by their fields, shares with intervals."""
    if isinstance(value, Share):
        return value.as_json()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return value
