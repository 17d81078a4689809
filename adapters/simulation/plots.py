"""Replays as pictures: SVG, the same to the byte for the same replay. Needs the extra ``plots``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from .figures import PolicyReport, Row
from .outcome import HITS, SHARED
from .replaying import Replayed

WINDOWS = 60  # of time, in which hits are counted
FEWEST = 10  # requests in a window, else it has no rate
SHOWN = 10  # categories of a picture; the others are one more


@dataclass(frozen=True, slots=True)
class Story:
    """One policy over the time of the log."""

    name: str
    rows: Sequence[Row]
    replayed: Replayed
    report: PolicyReport


def available() -> bool:
    """Say whether matplotlib is here."""
    try:
        import matplotlib as mpl  # noqa: F401, PLC0415 - optional
    except ImportError:
        return False
    return True


def hit_rates(stories: Sequence[Story]) -> bytes:
    """Draw the hit rate over time, a line for each policy."""
    figure, (axes,) = _figure("Hit rate over time", 1)
    for story in stories:
        places, rates = _windows(story.rows)
        axes.plot(places, rates, label=story.name, marker="." if len(places) < 20 else None)
    axes.set_ylim(0, 100)
    axes.set_ylabel("hits, %")
    return _svg(figure, (axes,))


def saved_time(stories: Sequence[Story]) -> bytes:
    """Draw what was saved so far, a line for each policy."""
    figure, (axes,) = _figure("Saved time so far", 1)
    for story in stories:
        saved_s, places, sums = 0.0, [0.0], [0.0]
        for row in story.rows:
            if row.outcome.kind in SHARED and row.logged.latency_s is not None:
                saved_s += row.logged.latency_s - row.outcome.waited_s
                places.append(_hours(row.logged.at_s, story.rows[0].logged.at_s))
                sums.append(saved_s)
        axes.plot(places, sums, label=story.name)
    axes.set_ylabel("seconds")
    return _svg(figure, (axes,))


def room(stories: Sequence[Story]) -> bytes:
    """Draw the entries of each category over time, a picture for each policy."""
    figure, all_axes = _figure("Room by category", len(stories))
    for story, axes in zip(stories, all_axes, strict=True):
        samples = story.replayed.samples
        places = [_hours(sample.at_s, samples[0].at_s) for sample in samples]
        names = [one.category for one in story.report.room if one.most][:SHOWN]
        heights = [[sample.entries.get(name, 0) for sample in samples] for name in names]
        others = [
            sum(sample.entries.values()) - sum(column)
            for sample, column in zip(samples, zip(*heights, strict=True), strict=False)
        ]
        if any(others):
            names, heights = [*names, "others"], [*heights, others]
        if names:
            axes.stackplot(places, heights, labels=names)
        axes.set_title(story.name, parse_math=False)
        axes.set_ylabel("entries")
    return _svg(figure, all_axes)


def by_category(stories: Sequence[Story]) -> bytes:
    """Draw the hit rate of each category, a bar for each policy."""
    figure, (axes,) = _figure("Hit rate by category", 1)
    totals: dict[str, int] = {}
    for story in stories:
        for one in story.report.categories:
            totals[one.name] = totals.get(one.name, 0) + one.requests
    names = sorted(totals, key=lambda name: (-totals[name], name))[:SHOWN]
    width = 0.8 / len(stories)
    for place, story in enumerate(stories):
        rates = {one.name: 100 * (one.hits.value or 0.0) for one in story.report.categories}
        at = [number + place * width for number in range(len(names))]
        axes.bar(at, [rates.get(name, 0.0) for name in names], width, label=story.name)
    middle = 0.4 - width / 2
    axes.set_xticks(
        [number + middle for number in range(len(names))], names, rotation=30, ha="right"
    )
    axes.set_xlabel("")
    axes.set_ylabel("hits, %")
    return _svg(figure, (axes,))


def _windows(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    first_s = rows[0].logged.at_s
    width_s = (rows[-1].logged.at_s - first_s) / WINDOWS or 1.0
    counted: dict[int, list[int]] = {}
    for row in rows:
        window = min(int((row.logged.at_s - first_s) / width_s), WINDOWS - 1)
        hits_of = counted.setdefault(window, [0, 0])
        hits_of[0] += row.outcome.kind in HITS
        hits_of[1] += 1
    known = [(window, hits, of) for window, (hits, of) in counted.items() if of >= FEWEST]
    places = [(window + 0.5) * width_s / 3600 for window, _, _ in known]
    return places, [100 * hits / of for _, hits, of in known]


def _hours(at_s: float, first_s: float) -> float:
    return (at_s - first_s) / 3600


def _figure(title: str, rows: int) -> tuple[Any, Sequence[Any]]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional

    figure = Figure(figsize=(8.0, 3.2 * rows + 0.4), layout="constrained")
    all_axes = [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]
    figure.suptitle(title)
    for axes in all_axes:
        axes.grid(visible=True, alpha=0.3)
        axes.set_xlabel("hours since the first request")
    return figure, all_axes


def _svg(figure: Any, all_axes: Sequence[Any]) -> bytes:
    import matplotlib as mpl  # noqa: PLC0415 - optional

    for axes in all_axes:
        handles, _ = axes.get_legend_handles_labels()
        if handles:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    out = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "kindcache", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
