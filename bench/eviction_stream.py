"""The requests of the eviction experiment: labelled streams at the times of a real trace.

Three kinds of prompts repeat in other words (the streams of the evaluation data, in an order that
the seed decides), one never repeats. ``VERBATIM`` of all requests repeat an earlier prompt to the
letter: half of those by Zipf's law over a popularity that the seed draws, half by Zipf's law over
how recently a prompt was asked. Times and numbers of answered tokens are those of the Azure LLM
inference traces of 2023.

Who may answer whom is decided once: cosine of at least ``BAR`` and the same key. So there are no
wrong hits here; what is measured is what was kept.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random

import numpy as np
from guard_pairs import encoder
from numpy.typing import NDArray

from kindcache.adapters.evaluation.data import load_stream

BAR = 0.9
NEAR = 0.8  # from which on a neighbour is noted
MOST = 48  # neighbours noted of a prompt
VERBATIM = 0.3
FILLER = 0.14  # of all requests
UNLIKE = 0.3  # standard deviation of the logarithm of an answer's length, for one key
SKEW = 1.0  # of Zipf's law
FIRST_TOKEN_S = 0.2
BYTES_A_TOKEN, BYTES_BESIDE = 4.2, 400


@dataclass(frozen=True, slots=True)
class Kind:
    """One category. ``weight`` is its part of the requests that may repeat."""

    name: str
    stream: str
    weight: float
    ttl_s: float


KINDS = (
    Kind("support", "bitext_support", 0.35, 12 * 3600.0),
    Kind("banking", "banking77", 0.25, 3600.0),
    Kind("assistant", "clinc150", 0.40, 900.0),
    Kind("filler", "never_repeats", 0.0, 3600.0),
)


@dataclass(frozen=True, slots=True)
class Prompts:
    """All prompts, by number. ``near[p]`` are (other, cosine, may it answer), best first."""

    kind: Sequence[int]
    key: Sequence[str]  # equal keys: one answer serves both
    near: Sequence[Sequence[tuple[int, float, bool]]]
    of_kind: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One seed's requests and what their answers cost."""

    requests: Sequence[tuple[float, int]]  # time in seconds, prompt
    cost_s: Sequence[float]  # by prompt: upstream time of its answer
    size_bytes: Sequence[int]  # by prompt
    a_token_s: Sequence[float]  # by kind


def load(folder: Path) -> Prompts:
    """Read and embed the streams; vectors are kept in a temporary folder for the next run."""
    kinds: list[int] = []
    answers: list[str] = []
    near: list[list[tuple[int, float, bool]]] = []
    of_kind: list[list[int]] = []
    for number, kind in enumerate(KINDS):
        queries = load_stream(folder / "streams" / f"{kind.stream}.jsonl.gz")
        keys = {query.text: query.key for query in queries}  # each text once
        first = len(kinds)
        rows = _vectors(kind.stream, list(keys))
        near += _neighbours(rows, list(keys.values()), first)
        answers += [f"{kind.name} {key}" for key in keys.values()]
        kinds += [number] * len(keys)
        of_kind.append(list(range(first, len(kinds))))
    return Prompts(kinds, answers, near, of_kind)


def arrivals(folder: Path) -> list[tuple[float, int]]:
    """Return the trace: seconds from its start, and tokens of the answer."""
    found = []
    for name in ("conv", "code"):
        with gzip.open(folder / "arrivals" / f"azure_{name}_2023.csv.gz", "rt") as file:
            for row in csv.DictReader(file):
                moment = datetime.fromisoformat(row["TIMESTAMP"][:26] + "+00:00")
                found.append((moment.timestamp(), int(row["GeneratedTokens"])))
    found.sort()
    return [(moment - found[0][0], tokens) for moment, tokens in found]


def draw(prompts: Prompts, trace: Sequence[tuple[float, int]], seed: int) -> Drawn:
    """Draw one stream."""
    dice = Random(seed)
    # log-uniform: one kind's tokens may cost ten times as much as another's
    a_token_s = [0.005 * 10 ** dice.random() for _ in KINDS]
    typical = {key: dice.choice(trace)[1] for key in dict.fromkeys(prompts.key)}
    tokens = [typical[key] * math.exp(dice.gauss(0.0, UNLIKE)) for key in prompts.key]
    cost_s = [
        FIRST_TOKEN_S + count * a_token_s[kind]
        for count, kind in zip(tokens, prompts.kind, strict=True)
    ]
    sizes = [int(BYTES_BESIDE + count * BYTES_A_TOKEN) for count in tokens]
    asked = _asked(prompts, len(trace), dice)
    times = [moment for moment, _ in trace]
    return Drawn(list(zip(times, asked, strict=False)), cost_s, sizes, a_token_s)


def _asked(prompts: Prompts, count: int, dice: Random) -> Iterator[int]:
    """Yield prompts until one kind has no more new ones."""
    fresh = [dice.sample(of, len(of)) for of in prompts.of_kind]
    popular = [dice.sample(of, len(of)) for of in prompts.of_kind]
    asked: list[list[int]] = [[] for _ in KINDS]
    known: set[int] = set()
    weights = [kind.weight for kind in KINDS]
    filler = len(KINDS) - 1
    for _ in range(count):
        repeats = dice.random() < VERBATIM
        kind = dice.choices(range(len(KINDS)), weights)[0]
        if not repeats and dice.random() < FILLER / (1 - VERBATIM):
            kind = filler
        before = asked[kind]
        if repeats and before:
            prompt = (
                _popular(popular[kind], known, dice)
                if dice.random() < 0.5
                else before[-_rank(len(before), dice)]
            )
        elif fresh[kind]:
            prompt = fresh[kind].pop()
        else:
            return
        known.add(prompt)
        before.append(prompt)
        yield prompt


def _popular(ranked: Sequence[int], known: set[int], dice: Random) -> int:
    while True:
        prompt = ranked[_rank(len(ranked), dice) - 1]
        if prompt in known:
            return prompt


def _rank(most: int, dice: Random) -> int:
    """Draw from 1 to ``most`` by Zipf's law with exponent 1, by inversion of its integral."""
    assert SKEW == 1.0
    return min(most, int(math.exp(dice.random() * math.log(most + 1))))


def _vectors(name: str, texts: list[str]) -> NDArray[np.float32]:
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    kept = Path(tempfile.gettempdir()) / f"kindcache-eviction-{name}-{digest}.npy"
    if kept.is_file():
        rows: NDArray[np.float32] = np.load(kept)
        return rows
    print(f"embedding {len(texts):,} prompts of {name}")
    model = encoder()
    rows = np.concatenate(
        [model.encode(texts[at : at + 64]).vectors for at in range(0, len(texts), 64)]
    )
    np.save(kept, rows)
    return rows


def _neighbours(
    rows: NDArray[np.float32], keys: Sequence[str], first: int
) -> Iterator[list[tuple[int, float, bool]]]:
    for start in range(0, len(rows), 500):
        cosines = rows[start : start + 500] @ rows.T
        for at, line in enumerate(cosines):
            line[start + at] = -1.0
            found = np.flatnonzero(line >= NEAR)
            best = found[np.argsort(-line[found])][:MOST]
            key = keys[start + at]
            yield [
                (
                    first + int(other),
                    float(line[other]),
                    bool(line[other] >= BAR and keys[other] == key),
                )
                for other in best
            ]
