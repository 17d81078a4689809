"""Fits the fusion: log-odds and similarity to one probability, on what was held back.

``python -m training.calibrate`` reads ``out/held_scores.jsonl`` and ``out/held_stream.jsonl``,
writes the coefficients into the weights' ``meta.json`` and prints what each bar would have served
of the held-back pairs. Only pairs that the cache would ask the scorer about count: above the floor,
and no guard objects.

The pairs are traps and rewordings in equal parts, whatever their similarity; the stream's
candidates are what a search for the nearest finds. Either weighs the same: pairs alone would teach
that similarity hardly matters, the stream alone that traps hardly occur.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from kindcache.policies.calibration import NOTHING, Tally, cell_of, certify
from kindcache.policies.fusion import Fusion
from kindcache.policies.guards.signature import signature
from kindcache.policies.guards.verdict import objection
from kindcache.policies.observation import Observation, Source

HERE = Path(__file__).parent
SCORES = HERE / "out" / "held_scores.jsonl"
STREAM = HERE / "out" / "held_stream.jsonl"
META = HERE.parent / "cache" / "weights" / "pair_scorer" / "meta.json"
SHIPPED_FLOOR = 0.7
FLOOR = 0.6  # wider than the shipped floor, so that the fit sees more
RATES = (0.01, 0.015, 0.02)  # of hits that may be wrong; the shipped bar is that of the first
BARS = (0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)

Floats = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, write and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, default=SCORES)
    parser.add_argument("--stream", type=Path, default=STREAM)
    parser.add_argument("--meta", type=Path, default=META)
    options = parser.parse_args(arguments)
    rows = [json.loads(line) for line in options.scores.read_text().splitlines()]
    asked = [row for row in rows if is_asked(row)]
    crowd = [json.loads(line) for line in options.stream.read_text().splitlines()]
    fusion = fit([asked, crowd])
    meta = json.loads(options.meta.read_text())
    meta["fusion"] = {
        "intercept": round(fusion.intercept, 4),
        "logit": round(fusion.logit, 4),
        "similarity": round(fusion.similarity, 4),
    }
    options.meta.write_text(json.dumps(meta, indent=2) + "\n")
    sys.stdout.write(f"{len(asked)} of {len(rows)} pairs are asked about; {meta['fusion']}\n")
    for bar in BARS:
        sys.stdout.write(served(rows, asked, fusion, bar) + "\n")
    for rate in RATES:
        found = certified([row for row in asked if row["cosine"] >= SHIPPED_FLOOR], fusion, rate)
        sys.stdout.write(f"certified for {rate:.1%} of hits wrong: {found}\n")
    return 0


def certified(asked: Sequence[Mapping[str, Any]], fusion: Fusion, rate: float) -> str:
    """Return the bar that the pairs certify for ``rate``, by the rule of ``max_error_rate``."""
    cells = Counter(
        cell_of(
            Observation(
                category="all",
                probability=fusion.probability(row["cosine"], row["logit"]),
                correct=bool(row["label"]),
                source=Source.LABEL,
                served=False,
            ),
            NOTHING,
        )
        for row in asked
    )
    bar = certify(Tally(cells), rate, NOTHING)
    if not bar.certified:
        return "none"
    return f"{bar.min_probability} ({bar.wrong} of {bar.accepts} wrong, at most {bar.upper:.2%})"


def is_asked(row: Mapping[str, Any]) -> bool:
    """Say whether the cache would ask the scorer about this pair."""
    unopposed = objection(signature(row["b"]), signature(row["a"])) is None
    return bool(row["cosine"] >= FLOOR and unopposed)


def fit(parts: Sequence[Sequence[Mapping[str, Any]]]) -> Fusion:
    """Fit the logistic model; each of ``parts`` weighs the same, however many its rows are.

    Both coefficients are positive, or the data is not what it seems.
    """
    rows = [row for part in parts for row in part]
    weights = np.concatenate([np.full(len(part), len(rows) / len(part)) for part in parts])
    features = np.array([[row["logit"], row["cosine"]] for row in rows], dtype=np.float64)
    labels = np.array([row["label"] for row in rows])
    model = LogisticRegression(C=100.0, max_iter=1000).fit(features, labels, weights)
    logit, similarity = (float(value) for value in model.coef_[0])
    if logit <= 0 or similarity < 0:
        # More similar is never worse; a negative weight is an accident of the held-back pairs.
        model = LogisticRegression(C=100.0, max_iter=1000).fit(features[:, :1], labels, weights)
        logit, similarity = float(model.coef_[0][0]), 0.0
    return Fusion("fitted", float(model.intercept_[0]), logit, similarity)


def served(
    rows: Sequence[Mapping[str, Any]],
    asked: Sequence[Mapping[str, Any]],
    fusion: Fusion,
    bar: float,
) -> str:
    """Describe what ``bar`` would have served, in shares of all held-back pairs of each label."""
    hits = [row["label"] for row in asked if fusion.probability(row["cosine"], row["logit"]) >= bar]
    right, wrong = sum(hits), len(hits) - sum(hits)
    same = sum(row["label"] for row in rows)
    other = len(rows) - same
    share = wrong / len(hits) if hits else 0.0
    return (
        f"bar {bar:.3f}: recall {100 * right / same:.1f} %, "
        f"traps served {100 * wrong / other:.2f} %"
        f", wrong of hits {100 * share:.2f} %"
    )


if __name__ == "__main__":
    sys.exit(main())
