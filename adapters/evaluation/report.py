"""Reports as text, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from .intervals import Share
from .pairs import PairFigures, PairReport, Sweep
from .stream import StreamFigures, StreamReport

PAIR_COLUMNS = (
    "pairs",
    "served on label 1, %",
    "served on label 0, %",
    "AUC of similarity",
    "recall at <= 1 % wrong",
    "recall at <= 5 % wrong",
    "AUC of the judge",
    "judge's recall at <= 1 %",
    "judge's recall at <= 5 %",
)
STREAM_COLUMNS = (
    "queries",
    "exact",
    "semantic",
    "hits, %",
    "wrong hits of queries, %",
    "wrong hits of hits, %",
    "precision, %",
    "recall of repeatables, %",
)
PAIR_NOTE = (
    "In brackets: 95 % Wilson intervals. The columns after AUC of similarity sweep one plain "
    "threshold over the similarity (its value after @): what no policy, only cosine, would reach. "
    "The judge's sweep the probability that guards and pair scorer together give."
)
STREAM_NOTE = (
    "In brackets: 95 % Wilson intervals. Recall of repeatables: right hits of the queries "
    "whose key came before."
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of finished cells; the first column is the name of the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def pair_tables(reports: Sequence[PairReport]) -> list[Table]:
    """Return an overview of all files, then the groups of each."""
    if not reports:
        return []
    columns = ("file", *PAIR_COLUMNS)
    rows = tuple(_pair_row(report.source, report.overall) for report in reports)
    tables = [Table(f"Pairs, {reports[0].direction}", columns, rows, PAIR_NOTE)]
    for report in reports:
        for name, groups in report.groups.items():
            cells = tuple(_pair_row(group.name, group) for group in groups)
            tables.append(Table(f"{report.source} by {name}", (name, *PAIR_COLUMNS), cells))
    return [*tables, *_unserved(reports, "label 1")]


def stream_tables(reports: Sequence[StreamReport]) -> list[Table]:
    """Return an overview of all files, then the groups of each."""
    if not reports:
        return []
    columns = ("file", *STREAM_COLUMNS)
    rows = tuple(_stream_row(report.source, report.overall) for report in reports)
    tables = [Table("Streams", columns, rows, STREAM_NOTE)]
    for report in reports:
        for name, groups in report.groups.items():
            cells = tuple(_stream_row(group.name, group) for group in groups)
            tables.append(Table(f"{report.source} by {name}", (name, *STREAM_COLUMNS), cells))
    return [*tables, *_unserved(reports, "repeatable")]


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


def as_json(reports: Sequence[PairReport] | Sequence[StreamReport]) -> str:
    """Render reports for machine readers: all counts, shares and intervals."""
    return json.dumps([_plain(report) for report in reports], indent=2, ensure_ascii=False) + "\n"


def _pair_row(name: str, figures: PairFigures) -> tuple[str, ...]:
    return (
        name,
        f"{figures.pairs:,}",
        str(figures.recall),
        str(figures.wrong),
        "-" if figures.auc is None else f"{figures.auc:.3f}",
        _swept(figures.at_1, figures),
        _swept(figures.at_5, figures),
        "-" if figures.judged_auc is None else f"{figures.judged_auc:.3f}",
        "-" if figures.judged_auc is None else _swept(figures.judged_at_1, figures),
        "-" if figures.judged_auc is None else _swept(figures.judged_at_5, figures),
    )


def _swept(sweep: Sweep, figures: PairFigures) -> str:
    if sweep.recall.value is None or not figures.wrong.whole:
        return "-"
    bar = "" if sweep.threshold is None else f" @ {sweep.threshold:.3f}"
    return f"{100 * sweep.recall.value:.1f}{bar}"


def _stream_row(name: str, figures: StreamFigures) -> tuple[str, ...]:
    shares = (
        figures.hits,
        figures.wrong_of_queries,
        figures.wrong_of_hits,
        figures.precision,
        figures.recall,
    )
    counts = (figures.queries, figures.exact, figures.semantic)
    return (name, *(f"{count:,}" for count in counts), *(str(share) for share in shares))


def _unserved(reports: Sequence[PairReport] | Sequence[StreamReport], what: str) -> list[Table]:
    rows = tuple(
        (report.source, reason, f"{count:,}")
        for report in reports
        for reason, count in report.unserved.items()
    )
    title = f"Why {what} was not served"
    return [Table(title, ("file", "reason", "count"), rows)] if rows else []


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = cells
    right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
    return [first.ljust(widths[0]), *right]


def _escaped(cells: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells]


def _plain(value: Any) -> Any:
    if isinstance(value, Share):
        return value.as_json()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
