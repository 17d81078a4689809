"""The effective policy of every category, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..config.units import format_duration, format_share

if TYPE_CHECKING:
    from ..config.settings import Effective, Settings

_GAP = "  "
_NONE = "-"
_COLUMNS = (
    ("category", str.ljust),
    ("chosen by", str.ljust),
    ("tiers", str.ljust),
    ("similarity", str.rjust),
    ("ttl", str.rjust),
    ("guards", str.ljust),
    ("sampled", str.ljust),
    ("quota", str.rjust),
    ("priority", str.rjust),
)
_SAMPLED = {"exact": "exact only", "semantic": "as others", "bypass": "not cached"}


def effective_table(settings: Settings, width: int = 100) -> str:
    """Render one row per category, in the file's order, for a terminal ``width`` columns wide.

    Where the rows do not fit, each category becomes a block of lines. Ends without a newline.
    """
    rows = [_row(settings, name) for name in settings.category_names]
    headings = [heading for heading, _ in _COLUMNS]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    if sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        return "\n\n".join(_block(headings, row) for row in rows)
    rule = ["-" * size for size in widths]
    return "\n".join(_line(cells, widths) for cells in (headings, rule, *rows))


def _row(settings: Settings, name: str) -> list[str]:
    policy = settings.effective(name)
    semantic = policy.cache and policy.semantic
    return [
        name,
        _chosen_by(settings, name),
        _tiers(policy),
        f"{policy.similarity_threshold:.4g}" if semantic else _NONE,
        format_duration(policy.ttl) if policy.cache else _NONE,
        ("on" if policy.guards else "OFF") if semantic else _NONE,
        _sampled(policy) if policy.cache else _NONE,
        format_share(policy.quota) if policy.quota else _NONE,
        f"{policy.priority:g}",
    ]


def _tiers(policy: Effective) -> str:
    if not policy.cache:
        return "not cached"
    return "exact, semantic" if policy.semantic else "exact"


def _sampled(policy: Effective) -> str:
    return f"t>{policy.max_temperature:g} {_SAMPLED[policy.sampled]}"


def _chosen_by(settings: Settings, name: str) -> str:
    """Say how many rules and examples lead to category ``name``."""
    category = settings.categories.get(name)
    parts = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in (
            (len(category.match) if category else 0, "rule"),
            (len(category.examples) if category else 0, "example"),
        )
        if count
    ]
    if name == "default":
        parts.append("no other")
    return ", ".join(parts) or "header only"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = (
        align(cell, size) for cell, size, (_, align) in zip(cells, widths, _COLUMNS, strict=True)
    )
    return _GAP.join(aligned).rstrip()


def _block(headings: Sequence[str], row: Sequence[str]) -> str:
    size = max(map(len, headings))
    pairs = list(zip(headings, row, strict=True))[1:]
    return "\n".join([row[0], *(f"  {heading.ljust(size)}  {cell}" for heading, cell in pairs)])
