"""Scores labelled pairs with an exported scorer and with plain cosine, and prints aggregates.

``python -m training.score --data EVALDATA [--weights FOLDER] [--half dev|final] [--held FILE]``
prints, per set, AUC and the best recall at no more than 1 and 5 % wrong; no text of any pair.
``--held`` writes the scored rows of the held-back slice, for calibration.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .embedding import encode
from .reading import read_pair, tokenizer
from .sources import rows

HERE = Path(__file__).parent
WEIGHTS = HERE.parent / "cache" / "weights" / "pair_scorer"
TUNING = ("semanticmemo_gold", "semanticmemo_bench")
REPORT = ("fow_cache", "redis_langcache", "banking_traps", "finance_traps", "healthcare_traps")

Floats = NDArray[np.float64]


class Scorer:
    """The exported graph, one pair a call, as the cache runs it."""

    def __init__(self, weights: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._run = onnxruntime.InferenceSession(str(weights / "model.onnx"), options).run
        self._tokenizer = tokenizer(weights)
        self._longest = int(json.loads((weights / "meta.json").read_text())["window"])

    def logit(self, new: str, stored: str) -> float:
        """Return the logit of one pair; NaN when it is too long to read."""
        ids, kinds = read_pair(self._tokenizer, new, stored)
        if len(ids) > self._longest:
            return float("nan")
        feeds = {"input_ids": np.array([ids]), "token_type_ids": np.array([kinds])}
        return float(self._run(None, feeds)[0][0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Score what the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the evaluation data")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--half", choices=("dev", "final"), default="dev")
    parser.add_argument("--held", type=Path, help="write the scored held-back slice here")
    options = parser.parse_args(arguments)
    scorer = Scorer(options.weights)
    for name in (*TUNING, *REPORT):
        pairs = list(rows(options.data / "pairs" / f"{name}.jsonl"))
        if name in REPORT:
            pairs = [row for row in pairs if _odd(row) == (options.half == "dev")]
        if name == "semanticmemo_gold":
            pairs = [r for r in pairs if r["q1"] != r["q2"]]
        _say(name, [int(r["label"]) for r in pairs], _scored(scorer, pairs, "q1", "q2"))
    held = [json.loads(line) for line in (HERE / "out" / "held.jsonl").read_text().splitlines()]
    scores = _scored(scorer, held, "b", "a")
    _say("held back", [row["label"] for row in held], scores)
    for source in sorted({row["source"] for row in held}):
        at = [n for n, row in enumerate(held) if row["source"] == source]
        part = {method: values[at] for method, values in scores.items()}
        _say(f"  {source}", [held[n]["label"] for n in at], part)
    if options.held:
        _write(options.held, held, scores)
    return 0


def _scored(
    scorer: Scorer, pairs: Sequence[Mapping[str, Any]], stored: str, new: str
) -> dict[str, Floats]:
    """Return the cosine and the logit of each pair, by method."""
    ones, twos = ([str(row[side]) for row in pairs] for side in (stored, new))
    cosine = (encode(ones) * encode(twos)).sum(axis=1).astype(np.float64)
    logits = [scorer.logit(two, one) for one, two in zip(ones, twos, strict=True)]
    return {"cosine": cosine, "scorer": np.nan_to_num(np.array(logits), nan=-20.0)}


def _odd(row: Mapping[str, Any]) -> bool:
    return int(re.findall(r"\d+", str(row["id"]))[-1]) % 2 == 1


def best_recall(labels: Sequence[int], scores: Floats, wrong: float) -> float:
    """Return the largest recall at a bar that at most ``wrong`` of the label-0 pairs pass."""
    label = np.asarray(labels)
    worst = np.sort(scores[label == 0])[::-1]
    allowed = int(wrong * len(worst) + 1e-9)
    bar = worst[allowed] if allowed < len(worst) else -np.inf
    return float((scores[label == 1] > bar).mean())


def auc(labels: Sequence[int], scores: Floats) -> float:
    """Return the share of (label 1, label 0) couples in the right order; ties count half."""
    label = np.asarray(labels)
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    ones = int(label.sum())
    zeros = len(label) - ones
    return float((ranks[label == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _say(name: str, labels: Sequence[int], scores: Mapping[str, Floats]) -> None:
    parts = [f"{name:22} n={len(labels):5} positive={sum(labels):4}"]
    for method, values in scores.items():
        if 0 < sum(labels) < len(labels):
            one, five = (100 * best_recall(labels, values, share) for share in (0.01, 0.05))
            parts.append(f"{method}: {one:.1f} / {five:.1f} (AUC {auc(labels, values):.3f})")
    sys.stdout.write("  ".join(parts) + "\n")


def _write(path: Path, held: Sequence[Mapping[str, Any]], scores: Mapping[str, Floats]) -> None:
    with path.open("w") as file:
        for row, cosine, logit in zip(held, scores["cosine"], scores["scorer"], strict=True):
            kept = {**row, "cosine": round(float(cosine), 5), "logit": round(float(logit), 4)}
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
