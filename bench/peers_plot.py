"""The picture of the comparison: medians of three rows, peers below each other."""

from __future__ import annotations

from pathlib import Path

from peers_table import Place, Results, Row

SHOWN = ((Row.EXACT, "exact hit"), (Row.SEMANTIC, "semantic hit"), (Row.MISS, "added by a miss"))
OURS, THEIRS = "#2f6f9f", "#b8b8b8"


def plot(results: Results, size: int, peers: list[str], path: Path) -> None:
    """Write a PNG of what is known at ``size`` entries; one client, milliseconds, log scale."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a picture is wanted

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the choice of what draws

    peers = [
        peer
        for peer in peers
        if any(results.p50_ms(Place(size, peer, row, 1)) is not None for row, _ in SHOWN)
    ]
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(9, 2.8), sharey=True)
    for axis, (row, title) in zip(axes, SHOWN, strict=True):
        known = [results.p50_ms(Place(size, peer, row, 1)) for peer in peers]
        shown = [max(each, 0.01) if each is not None else 0.0 for each in known]
        colours = [OURS if "kindcache" in peer else THEIRS for peer in peers]
        axis.barh(peers, shown, color=colours)
        for place, each in enumerate(known):
            text = "" if each is None else f" {each:.2f}"
            axis.text(max(shown[place], 0.02), place, text, va="center", fontsize=7)
        axis.set_xscale("log")
        axis.set_xlim(0.02, max([*shown, 1.0]) * 6)
        axis.set_title(f"{title}, p50 ms", fontsize=9)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    figure.suptitle(f"{size:,} entries, 1 client; shorter is better", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=90, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
