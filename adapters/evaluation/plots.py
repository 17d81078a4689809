"""Reports as pictures: a reliability diagram and a frontier per file. Needs the extra ``plots``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .curves import Bin, Frontier
from .pairs import PairReport
from .tables import Reports

MISSING = "--plots needs matplotlib: pip install 'kindcache[plots]'"
COLOURS = {"judge": "tab:blue", "cosine": "tab:orange"}
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # marks of an axis that is fine near zero


class PlotsError(Exception):
    """Plots cannot be made; the message says why in one line."""


def prepare(folder: Path) -> None:
    """Make ``folder`` and see that plots can be made at all. Raises ``PlotsError``."""
    _canvas()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise PlotsError(f"{folder}: {exc.strerror or type(exc).__name__}") from exc


def draw(folder: Path, protocol: str, reports: Reports) -> list[str]:
    """Write the PNGs of ``reports`` into ``folder``; return a line about each. ``PlotsError``.

    They are named ``PROTOCOL-FILE-reliability.png`` and ``PROTOCOL-FILE-frontier.png``.
    """
    lines: list[str] = []
    names = _apart([report.source for report in reports])
    for report, name in zip(reports, names, strict=True):
        path = folder / f"{protocol}-{name}-reliability.png"
        if report.reliability:
            _write(reliability_figure(report.source, report.reliability), path)
            lines.append(f"wrote {path}")
        else:
            lines.append(f"{name}: the pair scorer was asked about none, so no reliability diagram")
        path = folder / f"{protocol}-{name}-frontier.png"
        if report.frontier is not None and report.frontier.curves:
            figure = frontier_figure(
                report.source, report.frontier, fine=isinstance(report, PairReport)
            )
            _write(figure, path)
            lines.append(f"wrote {path}")
        else:
            lines.append(f"{name}: nothing was scored, or all has one label, so no frontier")
    return lines


def reliability_figure(source: str, bins: Sequence[Bin]) -> Any:
    """Return a figure of predicted against observed shares.

    The bins stand side by side, however narrow, since those that decide are the narrow ones.
    """
    figure, axes = _figure(f"{source}: is the judge right as often as it says?")
    places = range(len(bins))
    values = [one.right.value or 0.0 for one in bins]
    bounds = [one.right.interval for one in bins]
    below = [value - low for value, (low, _) in zip(values, bounds, strict=True)]
    above = [high - value for value, (_, high) in zip(values, bounds, strict=True)]
    axes.errorbar(
        places, values, yerr=[below, above], fmt="o", capsize=4, label="right (95 % interval)"
    )
    axes.plot(
        places,
        [one.predicted for one in bins],
        linestyle="none",
        marker="_",
        markersize=22,
        color="black",
        label="predicted",
    )
    for place, one in enumerate(bins):
        axes.text(place, 1.04, f"{one.right.whole:,}", ha="center", fontsize=8)
    axes.set_xticks(list(places), [f"{one.low:g}-{one.high:g}" for one in bins], rotation=45)
    axes.set_xlim(-0.6, len(bins) - 0.4)
    axes.set_ylim(-0.03, 1.1)
    axes.set_xlabel("probability of the same answer (counts on top)")
    axes.set_ylabel("share")
    axes.yaxis.set_major_formatter(_percent)
    axes.legend(loc="lower right")
    return figure


def frontier_figure(source: str, frontier: Frontier, *, fine: bool) -> Any:
    """Return a figure of what can be had for what; ``fine`` stretches x near zero."""
    figure, axes = _figure(f"{source}: what each bar gives")
    for one in frontier.curves:
        places = [point.x for point in one.points], [point.y for point in one.points]
        marker = "." if len(one.points) < 20 else None  # a line of one point cannot be seen
        axes.plot(*places, label=one.name, color=COLOURS.get(one.name), marker=marker)
    if frontier.shipped is not None:
        axes.plot(
            *frontier.shipped, "*", color="black", markersize=14, label="the policy", clip_on=False
        )
    if fine:
        axes.set_xscale("symlog", linthresh=0.01)
        axes.set_xlim(-0.0005, 1)  # a little to the left: many curves start along the axis
        axes.set_ylim(0, 1.02)
        axes.set_xticks(SHARES, [_percent(share) for share in SHARES])
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_formatter(_percent)
    axes.yaxis.set_major_formatter(_percent)
    axes.set_xlabel(frontier.x)
    axes.set_ylabel(frontier.y)
    axes.legend(loc="best")
    return figure


def _percent(share: float, _place: object = None) -> str:
    return f"{100 * share:.3g}%"


def _figure(title: str) -> tuple[Any, Any]:
    canvas = _canvas()
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional

    figure = Figure(figsize=(7.0, 5.0), dpi=120, layout="constrained")
    canvas(figure)
    axes = figure.add_subplot()
    axes.grid(visible=True, alpha=0.3)
    axes.set_title(title, parse_math=False)  # a file's name is no formula
    return figure, axes


def _canvas() -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - optional
    except ImportError as exc:
        raise PlotsError(MISSING) from exc
    return FigureCanvasAgg


def _write(figure: Any, path: Path) -> None:
    try:
        figure.savefig(path, metadata={"Software": None})
    except OSError as exc:
        raise PlotsError(f"{path}: {exc.strerror or type(exc).__name__}") from exc


def _apart(names: Sequence[str]) -> list[str]:
    """Return ``names`` with a number where one comes again."""
    return [
        name if name not in names[:place] else f"{name}-{names[:place].count(name) + 1}"
        for place, name in enumerate(names)
    ]
