"""The labelled pairs that guards are measured on, and what the default models say of them."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kindcache.cache.embedders.onnx import OnnxEncoder, load
from kindcache.cache.embedders.shelf import default_root
from kindcache.cache.scorers.shipped import ShippedModel
from kindcache.policies.guards.signature import signature
from kindcache.policies.guards.verdict import Objection, objections

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TRAINING, TUNING = "train/*.jsonl*", "pairs/semanticmemo_*.jsonl"
WORD_ORDER = Path(__file__).resolve().parent.parent / "tests" / "truth" / "word_order.jsonl"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two prompts, the first one stored, and whether one answer serves both."""

    source: str
    first: str
    second: str
    same: bool
    objections: frozenset[Objection]


@dataclass(frozen=True, slots=True)
class Scored:
    """A pair with its similarity, and the probability of one answer: 0 if it cannot be read."""

    pair: Pair
    similarity: float
    probability: float


def read(paths: Sequence[Path]) -> Iterator[Pair]:
    """Yield the rows of evaluation files (q1 stored, q2 new) or corpus files (a new, b stored)."""
    for path in paths:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for row in map(json.loads, file):
                stored, new = (row["q1"], row["q2"]) if "q1" in row else (row["b"], row["a"])
                found = frozenset(objections(signature(new), signature(stored)))
                yield Pair(path.name.split(".")[0], stored, new, bool(row["label"]), found)


def files(folder: Path, *patterns: str) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]


def encoder() -> OnnxEncoder:
    return load(MODEL, "onnx-int8", default_root(), lambda line: print(line, file=sys.stderr))


def similarities(pairs: Sequence[Pair], model: OnnxEncoder) -> list[float]:
    """Return the cosine of every pair, in order."""
    texts = sorted({text for pair in pairs for text in (pair.first, pair.second)}, key=len)
    place = {text: i for i, text in enumerate(texts)}
    vectors = np.concatenate(
        [model.encode(texts[i : i + 64]).vectors for i in range(0, len(texts), 64)]
    )
    return [float(vectors[place[pair.first]] @ vectors[place[pair.second]]) for pair in pairs]


def scored(pair: Pair, similarity: float, scorer: ShippedModel) -> Scored:
    """Ask the scorer as the engine does: the second prompt is new, the first is stored."""
    logit = scorer.logit(pair.second, pair.first)
    sure = 0.0 if logit is None else scorer.fusion.probability(similarity, logit)
    return Scored(pair, similarity, sure)
