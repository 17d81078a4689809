"""The picture of the load experiment: the largest overload over time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from load_run import Run, Told
from load_table import BURST

BIN_S = 30
COLOURS = {"no cache": "#b8b8b8", "fixed": "#d08a3c", "adaptive": "#2f6f9f"}


def draw(runs: list[Run], path: Path, floor: float) -> None:
    """Write a PNG of what happened at the largest overload."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a picture is wanted

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the choice of what draws

    largest = max(run.overload for run in runs)
    names = {"no cache": "no cache", "fixed": "fixed", f"floor {floor:g}": "adaptive"}
    shown = {names[run.name]: run for run in runs if run.overload == largest and run.name in names}
    adaptive, end_s = shown["adaptive"], max(run.told[-1].at_s for run in shown.values())
    figure, axes = plt.subplots(6, 1, figsize=(9, 10), sharex=True)
    axes[0].plot(*_rate(adaptive, end_s, lambda _: True), color="black", label="arrivals")
    for name, run in shown.items():
        colour = COLOURS[name]
        if name != "no cache":
            asked = _rate(run, end_s, lambda told: told.how == "asked")
            axes[0].plot(*asked, color=colour, label=f"to the model, {name}")
            axes[4].plot(*_rate(run, end_s, _is_hit), color=colour, label=name)
            wrong = _rate(run, end_s, lambda told: told.wrong)
            axes[5].plot(wrong[0], 60 * wrong[1], color=colour, label=name)
        waiting = [second.waiting for second in run.seconds[: int(end_s)]]
        axes[1].plot(_minutes(waiting), waiting, color=colour, label=name)
    for axis, figures in ((axes[2], "load"), (axes[3], "bar")):
        values = [getattr(second, figures) for second in adaptive.seconds[: int(end_s)]]
        axis.plot(_minutes(values), values, color=COLOURS["adaptive"])
    titles = (
        "calls a second", "waiting at the server", "load factor", "bar (probability)",
        "hits a second", "wrong hits a minute",
    )  # fmt: skip
    for axis, title in zip(axes, titles, strict=True):
        axis.set_ylabel(title, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.axvspan(BURST[0] / 60, BURST[1] / 60, color="#000000", alpha=0.06)
        axis.spines[["top", "right"]].set_visible(False)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=7, frameon=False, loc="upper right")
    axes[1].set_yscale("symlog", linthresh=10)
    axes[-1].set_xlabel("minutes; shaded: the burst", fontsize=8)
    figure.suptitle(f"{largest:g} times what the model server can do", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)


def _is_hit(told: Told) -> bool:
    return told.how in {"hit", "relaxed"}


def _rate(run: Run, end_s: float, counts: Callable[[Told], bool]) -> tuple[Any, Any]:
    """Return minutes, and calls a second that count."""
    edges = np.arange(0.0, end_s + BIN_S, BIN_S)
    found, _ = np.histogram([told.at_s for told in run.told if counts(told)], edges)
    return edges[:-1] / 60, found / BIN_S


def _minutes(values: list[Any]) -> list[float]:
    return [second / 60 for second in range(len(values))]
