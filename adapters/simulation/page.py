"""A report as one HTML file that needs nothing else: tables, and pictures within the page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ...cache.errors import KindcacheError
from ..evaluation.tables import Table
from . import plots
from .figures import PolicyReport, rows
from .replaying import Replayed
from .request_log import RequestLog
from .tables import notes, tables

MISSING = "--html needs matplotlib: pip install 'kindcache[plots]'"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
td, th { border-bottom: 1px solid #ddd; padding: .2rem .7rem; text-align: right; }
td:first-child, th:first-child { text-align: left; }
.wide { overflow-x: auto; }
img { max-width: 100%; }
.note { color: #555; font-size: 13px; }
"""


class PageError(KindcacheError):
    """The page cannot be made; the message says why in one line."""


def prepare(path: Path) -> None:
    """See that the page can be made at all. Raises ``PageError``."""
    if not plots.available():
        raise PageError(MISSING)
    if path.is_dir():
        raise PageError(f"{path}: is a folder")
    if not path.parent.is_dir():
        raise PageError(f"{path}: there is no folder {path.parent}")


def write(
    path: Path, log: RequestLog, replayed: Sequence[Replayed], reports: Sequence[PolicyReport]
) -> None:
    """Write the page. Raises ``PageError``."""
    stories = [
        plots.Story(report.policy, rows(log.requests, one), one, report)
        for report, one in zip(reports, replayed, strict=True)
    ]
    overview, *others = tables(reports)
    drawn = (
        plots.hit_rates(stories),
        plots.saved_time(stories),
        plots.by_category(stories),
        plots.room(stories),
    )
    parts = [
        *(f"<p>{escape(note)}</p>" for note in notes(log, reports)),
        _table(overview),
        *(_picture(svg) for svg in drawn),
        *(_table(table) for table in others),
    ]
    title = f"{escape(log.name)}: simulated"
    whole = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    try:
        path.write_text(whole, encoding="utf-8")
    except OSError as exc:
        raise PageError(f"{path}: {exc.strerror or type(exc).__name__}") from exc


def _table(table: Table) -> str:
    head = _row(table.columns, "th")
    body = "\n".join(_row(row, "td") for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="wide"><table>\n{head}\n{body}\n'
        f"</table></div>{note}"
    )


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _picture(svg: bytes) -> str:
    # Within an image its ids and styles are its own.
    return f'<p><img alt="" src="data:image/svg+xml;base64,{b64encode(svg).decode()}"></p>'
