"""Tell everyday duplicates apart: whether the judge orders them at least as well as cosine does.

    KINDCACHE_EVALDATA=... python bench/everyday.py [--queries 1500] [--into docs/evaluation.md]

From each stream of labelled intents, seeded: a query with another one of its key (label 1), and
with the nearest one of any other key (label 0). Printed is the area under the curve of cosine, of
the pair scorer's log-odds and of the fused probability. The nearest stranger is the worst one of
thousands, so that cosine is near or under one half here; a second row draws the label-1 partner the
same way, the nearest of its key.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import marked
import numpy as np
from numpy.typing import NDArray

from kindcache.adapters.evaluation.ranking import area
from kindcache.cache.embedders.onnx import load as load_encoder
from kindcache.cache.embedders.shelf import default_root
from kindcache.cache.scorers.shipped import load as load_scorer

SEED = 5
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
STREAMS = ("clinc150", "banking77")
INTRODUCTION = """
## Everyday duplicates

Area under the curve on queries of people who set no traps: a query with another one of its key
(label 1) against the same query with the nearest one of any other key (label 0), the worst of
thousands. Keys are intents: two queries of one key may still want two answers.

Made by: `KINDCACHE_EVALDATA=... python bench/everyday.py --into docs/evaluation.md`
"""
MARKS = ("<!-- everyday -->", "<!-- /everyday -->")


def main() -> int:
    """Measure, print, and write into a page if asked; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1500)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    folder = Path(os.environ["KINDCACHE_EVALDATA"]) / "streams"
    lines = [
        "| stream | label-1 partner | cosine | log-odds | fused |",
        "| :-- | :-- | --: | --: | --: |",
    ]
    for name in STREAMS:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt") as file:
            rows = [json.loads(line) for line in file]
        lines += measured(name, rows, options.queries)
    table = "\n".join(lines)
    print(table)
    if options.into:
        marked.replace(options.into, MARKS, f"{INTRODUCTION}\n{table}")
    return 0


def measured(name: str, rows: Sequence[dict[str, str]], queries: int) -> list[str]:
    """Return the two table rows of one stream."""
    rows = [row for row in rows if row["key"]]
    texts, keys = [row["text"] for row in rows], np.array([row["key"] for row in rows])
    vectors = embedded(texts)
    random = Random(SEED)
    drawn = random.sample(range(len(rows)), min(queries, len(rows)))
    strangers, partners, nearest = [], [], []
    for at in drawn:
        similar = vectors @ vectors[at]
        own = np.flatnonzero((keys == keys[at]) & (np.arange(len(rows)) != at))
        if not len(own):
            continue
        other = np.where(keys == keys[at], -1.0, similar)
        strangers.append((at, int(other.argmax())))
        partners.append((at, int(random.choice(own))))
        nearest.append((at, int(own[similar[own].argmax()])))
    wrong = scored(texts, vectors, strangers)
    return [
        f"| {name} | {label} | " + " | ".join(areas(scored(texts, vectors, same), wrong)) + " |"
        for label, same in (("any of its key", partners), ("nearest of its key", nearest))
    ]


def embedded(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return vectors (n, dim)."""
    encoder = load_encoder(
        MODEL, "onnx-int8", default_root(), lambda line: print(line, file=sys.stderr)
    )
    parts = [encoder.encode(texts[n : n + 64]).vectors for n in range(0, len(texts), 64)]
    return np.concatenate(parts)


def scored(
    texts: Sequence[str], vectors: NDArray[np.float32], pairs: Sequence[tuple[int, int]]
) -> NDArray[np.float64]:
    """Return (n, 3): cosine, log-odds, fused probability of each pair."""
    scorer = load_scorer()
    rows = []
    for asked, stored in pairs:
        cosine = float(vectors[asked] @ vectors[stored])
        logit = scorer.logit(texts[asked], texts[stored])
        found = -20.0 if logit is None else logit
        rows.append((cosine, found, scorer.fusion.probability(cosine, found)))
    return np.array(rows)


def areas(same: NDArray[np.float64], other: NDArray[np.float64]) -> list[str]:
    """Return the area under the curve of each column."""
    return [f"{area(same[:, n].tolist(), other[:, n].tolist()) or 0:.3f}" for n in range(3)]


if __name__ == "__main__":
    sys.exit(main())
