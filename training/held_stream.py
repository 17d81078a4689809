"""Replays the held-back groups as a stream, to choose the shipped bar where it meets a crowd.

``python -m training.held_stream --data EVALDATA`` asks every wording of the held-back families and
components in random order, each against all that came before, and prints hit rate and wrong share
of hits for bars and similarity floors. A pair test shows one trap at a time; a stream offers each
prompt its worst neighbours, so a bar that serves 1 trap in 200 may well serve 1 wrong hit in 10.
Every candidate that the scorer is asked about is written to ``out/held_stream.jsonl`` too: what
``training.calibrate`` fits on must look like what a search finds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from kindcache.cache.deciding import SCORED
from kindcache.cache.scorers.shipped import load
from kindcache.policies.guards.signature import signature
from kindcache.policies.guards.verdict import objection

from . import sources
from .embedding import encode
from .groups import choose, fill, read_families, read_values, unknown_slots

HERE = Path(__file__).parent
CANDIDATES = HERE / "out" / "held_stream.jsonl"
SEED = 11
FILLINGS = 3  # times that a group with slots is asked about, with other values each time
NEAREST = 5
FLOORS = (0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
BARS = (0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the judge saw of one candidate."""

    similarity: float
    logit: float
    probability: float
    right: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the evaluation data")
    options = parser.parse_args(arguments)
    random = Random(SEED)
    asked = [*families(random), *components(options.data)]
    random.shuffle(asked)
    looked = list(replay([text for text, _ in asked], [key for _, key in asked]))
    with CANDIDATES.open("w") as file:
        for one in (one for seen in looked for one in seen):
            row = {"cosine": one.similarity, "logit": one.logit, "label": int(one.right)}
            file.write(json.dumps(row) + "\n")
    sys.stdout.write(f"{len(asked)} queries, {len({key for _, key in asked})} answers\n")
    for floor in FLOORS:
        for bar in BARS:
            served = [hit for hit in (first(seen, floor, bar) for seen in looked) if hit]
            wrong = sum(not hit.right for hit in served)
            share = wrong / len(served) if served else 0.0
            sys.stdout.write(
                f"floor {floor:.2f} bar {bar:.3f}: hits {100 * len(served) / len(asked):5.1f} %, "
                f"wrong of hits {100 * share:5.2f} % ({wrong})\n"
            )
    return 0


def families(random: Random) -> Iterator[tuple[str, str]]:
    """Yield the wordings of the held-back families with the key of their answer."""
    values = read_values(HERE / "slots.yaml")
    every = read_families(HERE / "groups")
    missing = unknown_slots(every, values)
    for family in every:
        if not sources.held_back(family.name):
            continue
        for number, group in enumerate(family.groups):
            if any(slot in missing for slot in group.slots):
                continue
            for _ in range(FILLINGS if group.slots else 1):
                chosen = choose(group.slots, values, random)
                key = f"{family.name}/{number}/{sorted((k, v[0]) for k, v in chosen.items())}"
                for variant in group.variants:
                    yield fill(variant, chosen, random), key


def components(data: Path) -> Iterator[tuple[str, str]]:
    """Yield the held-back groups of the public sets."""
    banned = sources.evaluation_prompts(data)
    for name in sources.FILES:
        for number, group in enumerate(sources.read(data, name, banned).held_groups):
            for text in group[:5]:
                yield text, f"{name}/{number}"


def replay(texts: Sequence[str], keys: Sequence[str]) -> Iterator[list[Seen]]:
    """Yield for each query what the judge sees of the candidates that it may ask about."""
    scorer = load()
    vectors = encode(list(texts))
    signatures = [signature(text) for text in texts]
    for now in range(len(texts)):
        similarities = vectors[:now] @ vectors[now]
        nearest = np.argsort(-similarities)[:NEAREST]
        ready = [
            at
            for at in nearest
            if similarities[at] >= FLOORS[0] and objection(signatures[now], signatures[at]) is None
        ]
        seen = []
        for at in ready[:SCORED]:
            logit = scorer.logit(texts[now], texts[at])
            if logit is None:
                continue  # longer than the scorer reads: never served
            similarity = float(similarities[at])
            sure = scorer.fusion.probability(similarity, logit)
            # Two fillings of a group may come out alike: the same text has the same answer.
            right = keys[at] == keys[now] or texts[at] == texts[now]
            seen.append(Seen(similarity, logit, sure, right))
        yield seen


def first(seen: Sequence[Seen], floor: float, bar: float) -> Seen | None:
    """Return the candidate that would be served."""
    return next((s for s in seen if s.similarity >= floor and s.probability >= bar), None)


if __name__ == "__main__":
    sys.exit(main())
