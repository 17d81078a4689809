"""The effective policy of every category, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...config.units import format_duration, format_share

if TYPE_CHECKING:
    from ...config.category_settings import Effective
    from ...config.settings import Settings

_GAP = "  "
_NONE = "-"
_COLUMNS = (
    ("category", str.ljust),
    ("rules", str.rjust),
    ("examples", str.rjust),
    ("matching", str.ljust),
    ("at least", str.rjust),
    ("ttl", str.rjust),
    ("guards", str.ljust),
    ("sampled", str.ljust),
    ("quota", str.rjust),
    ("priority", str.rjust),
)
_RARELY_DIFFER = ("guards", "sampled")
_SAMPLED = {"exact": "exact", "semantic": "semantic", "bypass": "not cached"}


def effective_table(settings: Settings, width: int = 100) -> str:
    """Render one row per category, in the file's order, for a terminal ``width`` columns wide.

    Where the rows do not fit, guards and sampling move below the table if they are the same for
    all; where that is not enough, each category becomes a block of lines. Ends without a newline.
    """
    rows = [_row(settings, name) for name in settings.category_names]
    every = range(len(_COLUMNS))
    whole = _table(rows, every)
    if _fits(whole, width):
        return whole
    same = {
        number
        for number, (heading, _) in enumerate(_COLUMNS)
        if heading in _RARELY_DIFFER and len({row[number] for row in rows} - {_NONE}) == 1
    }
    table = _table(rows, [number for number in every if number not in same])
    if same and _fits(table, width):
        return f"{table}\n\nSame for all: {_values_for_all(rows, sorted(same))}"
    return "\n\n".join(_block(row) for row in rows)


def room_notes(settings: Settings) -> list[str]:
    """Say which categories have no room of their own to count on, and whose is never used."""
    kinds = [settings.effective(name) for name in settings.category_names]
    notes = [
        f"{kind.name} is not cached: its quota of {format_share(kind.quota)} is always lent"
        for kind in kinds
        if kind.quota and not kind.cache
    ]
    kept = sum(int((kind.quota or 0.0) * settings.capacity.entries + 1e-9) for kind in kinds)
    without = ", ".join(kind.name for kind in kinds if kind.cache and not kind.quota)
    if without and kept >= settings.capacity.entries:
        notes.append(f"quotas take everything: {without} has only what others leave idle")
    return notes


def _row(settings: Settings, name: str) -> list[str]:
    policy = settings.effective(name)
    category = settings.categories.get(name)
    semantic = policy.cache and policy.semantic
    return [
        name,
        _count(category.match if category else ()),
        _count(category.examples if category else ()),
        _matching(policy),
        _bar(settings, policy) if semantic else _NONE,
        format_duration(policy.ttl) if policy.cache else _NONE,
        ("on" if policy.guards else "OFF") if semantic else _NONE,
        f"t>{policy.max_temperature:g} {_SAMPLED[policy.sampled]}" if policy.cache else _NONE,
        format_share(policy.quota) if policy.quota else _NONE,
        f"{policy.priority:g}",
    ]


def _bar(settings: Settings, policy: Effective) -> str:
    """Show the bar that counts: a probability where a scorer decides, else a similarity."""
    if settings.judge.scorer != "none":
        return f"p {policy.min_probability:.4g}"
    return f"{policy.similarity_threshold:.4g}"


def _count(items: Sequence[object]) -> str:
    return str(len(items)) if items else _NONE


def _matching(policy: Effective) -> str:
    if not policy.cache:
        return "not cached"
    return "semantic" if policy.semantic else "exact"


def _table(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> str:
    headings = [heading for heading, _ in _COLUMNS]
    widths = [max(len(row[number]) for row in (headings, *rows)) for number in range(len(headings))]
    rule = ["-" * size for size in widths]
    return "\n".join(
        _GAP.join(_COLUMNS[number][1](row[number], widths[number]) for number in columns).rstrip()
        for row in (headings, rule, *rows)
    )


def _fits(text: str, width: int) -> bool:
    return all(len(line) <= width for line in text.splitlines())


def _values_for_all(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> str:
    values = {
        number: next(row[number] for row in rows if row[number] != _NONE) for number in columns
    }
    return ", ".join(f"{_COLUMNS[number][0]} {value}" for number, value in values.items())


def _block(row: Sequence[str]) -> str:
    size = max(len(heading) for heading, _ in _COLUMNS)
    pairs = list(zip(_COLUMNS, row, strict=True))[1:]
    return "\n".join(
        [row[0], *(f"  {heading.ljust(size)}  {cell}" for (heading, _), cell in pairs)]
    )
