"""Which tables reports become, and what is in their cells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from .pairs import PairFigures, PairReport
from .ranking import Sweep
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
CONVERSATION_COLUMNS = ("cases", "served on label 1, %", "served on label 0, %")
STREAM_COLUMNS = (
    "queries",
    "exact",
    "semantic",
    "hits, %",
    "wrong hits of queries, %",
    "wrong hits of hits, %",
    "precision, %",
    "recall of repeatables, %",
    "AUC of similarity",
    "AUC of the judge",
)
PAIR_NOTE = (
    "In brackets: 95 % Wilson intervals. The columns after AUC of similarity sweep one plain "
    "threshold over the similarity (its value after @): what no policy, only cosine, would reach. "
    "The judge's sweep the probability that guards and pair scorer together give."
)
CONVERSATION_NOTE = "In brackets: 95 % Wilson intervals."
STREAM_NOTE = (
    "In brackets: 95 % Wilson intervals. Recall of repeatables: right hits of the queries "
    "whose key came before. The AUCs are over the candidates that the pair scorer read: those of "
    "the same key against those of another."
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of finished cells; the first column is the name of the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What to show beside the overview: groups of these names (None = all), and what was lost."""

    groups: Collection[str] | None = None
    lost: bool = True


ALL = Shown()
SUMMARY = Shown(groups=(), lost=False)


def pair_tables(reports: Sequence[PairReport], shown: Shown = ALL) -> list[Table]:
    """Return an overview of all files, then what else is ``shown``."""
    overview = _overview("Pairs", PAIR_COLUMNS, PAIR_NOTE, reports, _pair_cells)
    groups = _groups(PAIR_COLUMNS, reports, _pair_cells, shown)
    return [*overview, *groups, *_unserved(reports, "label 1", shown)]


def conversation_tables(reports: Sequence[PairReport], shown: Shown = ALL) -> list[Table]:
    """Return an overview of all files, then what else is ``shown``.

    No sweeps over a score: most of what is told apart here never has one, since the earlier
    messages keep it from being a candidate.
    """
    columns, note = CONVERSATION_COLUMNS, CONVERSATION_NOTE
    overview = _overview("Conversations", columns, note, reports, _served)
    groups = _groups(columns, reports, _served, shown)
    return [*overview, *groups, *_unserved(reports, "label 1", shown)]


def stream_tables(reports: Sequence[StreamReport], shown: Shown = ALL) -> list[Table]:
    """Return an overview of all files, then what else is ``shown``."""
    overview = _overview("Streams", STREAM_COLUMNS, STREAM_NOTE, reports, _stream_cells)
    groups = _groups(STREAM_COLUMNS, reports, _stream_cells, shown)
    return [*overview, *groups, *_unserved(reports, "repeatable", shown)]


Reports = Sequence[PairReport | StreamReport]
Cells = Callable[[Any], tuple[str, ...]]


def _overview(
    title: str, columns: tuple[str, ...], note: str, reports: Reports, cells: Cells
) -> list[Table]:
    if not reports:
        return []
    first = reports[0]
    if isinstance(first, PairReport):
        title = f"{title}, {first.direction}"
    rows = tuple((report.source, *cells(report.overall)) for report in reports)
    return [Table(title, ("file", *columns), rows, note)]


def _groups(columns: tuple[str, ...], reports: Reports, cells: Cells, shown: Shown) -> list[Table]:
    return [
        Table(
            f"{report.source} by {name}",
            (name, *columns),
            tuple((group.name, *cells(group)) for group in groups),
        )
        for report in reports
        for name, groups in report.groups.items()
        if shown.groups is None or name in shown.groups
    ]


def _unserved(reports: Reports, what: str, shown: Shown) -> list[Table]:
    rows = tuple(
        (report.source, reason, f"{count:,}")
        for report in reports
        for reason, count in report.unserved.items()
    )
    title = f"Why {what} was not served"
    return [Table(title, ("file", "reason", "count"), rows)] if rows and shown.lost else []


def _served(figures: PairFigures) -> tuple[str, ...]:
    return f"{figures.pairs:,}", str(figures.recall), str(figures.wrong)


def _pair_cells(figures: PairFigures) -> tuple[str, ...]:
    asked = figures.judged_auc is not None
    return (
        *_served(figures),
        _decimal(figures.auc),
        _swept(figures.at_1, figures),
        _swept(figures.at_5, figures),
        _decimal(figures.judged_auc),
        _swept(figures.judged_at_1, figures) if asked else "-",
        _swept(figures.judged_at_5, figures) if asked else "-",
    )


def _stream_cells(figures: StreamFigures) -> tuple[str, ...]:
    return (
        f"{figures.queries:,}",
        f"{figures.exact:,}",
        f"{figures.semantic:,}",
        str(figures.hits),
        str(figures.wrong_of_queries),
        str(figures.wrong_of_hits),
        str(figures.precision),
        str(figures.recall),
        _decimal(figures.auc),
        _decimal(figures.judged_auc),
    )


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _swept(sweep: Sweep, figures: PairFigures) -> str:
    if sweep.recall.value is None or not figures.wrong.whole:
        return "-"
    bar = "" if sweep.threshold is None else f" @ {sweep.threshold:.3f}"
    return f"{100 * sweep.recall.value:.1f}{bar}"
