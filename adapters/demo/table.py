"""The demo's table: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from .summary import Outcome, Row, figures, milliseconds, percentile

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

REFRESH_S = 0.2
LINE_EVERY = 25  # requests per plain progress line

HEADINGS = (
    "category",
    "requests",
    "exact",
    "semantic",
    "miss",
    "bypass",
    "wrong",
    "hit %",
    "hit ms p50/p99",
    "miss ms p50/p99",
    "saved s",
    "saved tokens",
)


class Display(Protocol):
    """Shows how far the demo is."""

    def tick(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of one more outcome; called between requests, so that drawing costs none."""
        ...

    def close(self, outcomes: Sequence[Outcome]) -> None:
        """Show the last state and leave the terminal as it was."""
        ...


def display(out: TextIO, expected: int) -> Display:
    """Return a live table if ``out`` is a terminal, else one that prints lines."""
    return LiveTable(out, expected) if out.isatty() else Lines(out, expected)


def cells(row: Row) -> list[str]:
    """Render a row of figures under ``HEADINGS``."""
    return [
        row.name,
        str(row.requests),
        str(row.exact),
        str(row.semantic),
        str(row.misses),
        str(row.bypasses),
        str(row.wrong),
        f"{100 * row.hits / row.requests:.0f}" if row.requests else "-",
        _spread(row.hit_s),
        _spread(row.miss_s),
        "-" if row.saved_s is None else f"{row.saved_s:,.1f}",
        f"{row.saved_tokens:,}",
    ]


def _spread(ordered: Sequence[float]) -> str:
    if not ordered:
        return "-"
    return "/".join(milliseconds(percentile(ordered, share)) for share in (0.50, 0.99))


class LiveTable:
    """Redraws the table in place."""

    def __init__(
        self, out: TextIO, expected: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._expected = expected
        self._clock = clock
        self._live: Live | None = None
        self._drawn_s = 0.0

    def tick(self, outcomes: Sequence[Outcome]) -> None:
        """Redraw, at most every ``REFRESH_S``."""
        now_s = self._clock()
        if self._live is None or now_s - self._drawn_s >= REFRESH_S:
            self._draw(outcomes)
            self._drawn_s = now_s

    def close(self, outcomes: Sequence[Outcome]) -> None:
        """Draw the last state and stop."""
        if outcomes:
            self._draw(outcomes)
        if self._live is not None:
            self._live.stop()

    def _draw(self, outcomes: Sequence[Outcome]) -> None:
        if self._live is None:
            self._live = self._started()
        self._live.update(self._table(outcomes), refresh=True)

    def _started(self) -> Live:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich
        from rich.live import Live  # noqa: PLC0415

        live = Live(console=Console(file=self._out), auto_refresh=False)
        live.start()
        return live

    def _table(self, outcomes: Sequence[Outcome]) -> Table:
        from rich import box  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415

        counted = figures(outcomes)
        table = Table(
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            title=f"{counted.total.requests} of {self._expected} requests",
        )
        for heading in HEADINGS:
            left = heading == "category"
            table.add_column(heading, justify="left" if left else "right", no_wrap=left)
        for row in counted.rows:
            table.add_row(*cells(row), style="red" if row.wrong else "")
        table.add_section()
        table.add_row(*cells(counted.total), style="bold")
        return table


class Lines:
    """One line every ``LINE_EVERY`` requests, and the table once at the end."""

    def __init__(self, out: TextIO, expected: int) -> None:
        self._out = out
        self._expected = expected

    def tick(self, outcomes: Sequence[Outcome]) -> None:
        """Print a line when it is time for one."""
        if len(outcomes) % LINE_EVERY:
            return
        total = figures(outcomes).total
        self._out.write(
            f"{total.requests} of {self._expected} requests: {total.hits} hits, "
            f"{total.misses} misses, {total.bypasses} bypasses, {total.wrong} wrong answers\n"
        )
        self._out.flush()

    def close(self, outcomes: Sequence[Outcome]) -> None:
        """Print the table."""
        if not outcomes:
            return
        counted = figures(outcomes)
        lines = [list(HEADINGS), *(cells(row) for row in (*counted.rows, counted.total))]
        widths = [max(len(line[n]) for line in lines) for n in range(len(HEADINGS))]
        self._out.write("\n")
        for first, *others in lines:
            right = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
            self._out.write("  ".join((first.ljust(widths[0]), *right)) + "\n")
