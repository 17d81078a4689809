"""Figures of the load experiment, and the tables they are printed as."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from load_run import Run, Told

MARKS = "<!-- load: begin -->", "<!-- load: end -->"
BURST = (600.0, 1200.0)  # seconds
MOST_POINTS = 0.5  # of wrong hits among hits, above fixed thresholds


def in_burst(run: Run) -> list[Told]:
    """Return the calls that arrived during the burst."""
    return [told for told in run.told if BURST[0] <= told.at_s < BURST[1]]


def traffic(run: Run) -> int:
    """Count the calls of the burst that went to the model."""
    return sum(told.how == "asked" for told in in_burst(run))


def p95(run: Run, what: str) -> float:
    """Return the 95th percentile over calls of the burst that went to the model."""
    times = [getattr(told, what) for told in in_burst(run) if told.how == "asked"]
    return float(np.percentile(times, 95))


def hits(told: Sequence[Told]) -> int:
    """Count the hits, relaxed ones included."""
    return sum(one.how in {"hit", "relaxed"} for one in told)


def wrong(told: Sequence[Told]) -> int:
    """Count the wrong hits."""
    return sum(one.wrong for one in told)


def recovery_s(run: Run) -> int:
    """Return the seconds from the end of the burst until nobody waits for ten seconds."""
    idle = 0
    for at, second in enumerate(run.seconds[int(BURST[1]) :]):
        idle = 0 if second.waiting else idle + 1
        if idle == 10:
            return at - 9
    return len(run.seconds) - int(BURST[1])


def turns_a_minute(run: Run) -> float:
    """Return how often the load factor changes its direction, a minute of the whole run."""
    moves = np.sign(np.diff([second.load for second in run.seconds]))
    moves = moves[moves != 0]
    return float(np.sum(moves[1:] != moves[:-1])) / (len(run.seconds) / 60)


def page(runs: Sequence[Run]) -> str:
    """Return the section's measured part."""
    heads = (
        "overload", "thresholds", "calls to the model", "against fixed", "their p95, s",
        "hits, %", "wrong of queries, %", "wrong of hits, %", "against fixed, points",
        "relaxed hits", "wrong of them, %", "recovery, s", "turns a minute",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "| --: | :-- |" + " --: |" * (len(heads) - 2)]
    lines += [row(run, fixed_of(runs, run)) for run in runs]
    lines += ["", *(_verdict(run, fixed_of(runs, run)) for run in runs if "floor" in run.name)]
    return "\n".join(lines)


def fixed_of(runs: Sequence[Run], one: Run) -> Run | None:
    """Return the run with fixed thresholds that ``one`` compares with."""
    same = (run for run in runs if run.overload == one.overload and run.name == "fixed")
    return next(same, None)


def row(run: Run, fixed: Run | None) -> str:
    """Return one run's row. Calls, hits and errors are those of the burst."""
    told = in_burst(run)
    relaxed = [one for one in told if one.how == "relaxed"]
    compared = fixed is not None and fixed is not run
    cells = [
        f"{run.overload:g}x",
        run.name,
        f"{traffic(run):,}",
        f"{_less(run, fixed):+.1f} %" if fixed and compared else "",
        f"{p95(run, 'total_s'):.1f}",
        f"{100 * hits(told) / len(told):.1f}",
        f"{100 * wrong(told) / len(told):.2f}",
        f"{error(run):.2f}" if hits(told) else "",
        f"{error(run) - error(fixed):+.2f}" if fixed and compared and hits(told) else "",
        f"{len(relaxed):,}" if relaxed else "",
        f"{100 * wrong(relaxed) / len(relaxed):.1f}" if relaxed else "",
        str(recovery_s(run)),
        f"{turns_a_minute(run):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def error(run: Run) -> float:
    """Return wrong hits of hits during the burst, in percent."""
    told = in_burst(run)
    return 100 * wrong(told) / max(1, hits(told))


def _less(run: Run, fixed: Run) -> float:
    return 100 * (traffic(run) / traffic(fixed) - 1)


def _verdict(run: Run, fixed: Run | None) -> str:
    """Say whether the errors stayed within half a point, and what the traffic did."""
    if fixed is None:
        return ""
    more = error(run) - error(fixed)
    within = "within half a point" if more <= MOST_POINTS else "MORE than half a point"
    return (
        f"- {run.overload:g}x, {run.name}: {_less(run, fixed):+.1f} % calls to the model against "
        f"fixed thresholds, {more:+.2f} points of wrong hits among hits ({within})"
    )
