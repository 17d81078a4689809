"""Builds the training shards and the held-back slice.

``python -m training.corpus --data EVALDATA [--shards 16] [--first 0] [--often close]`` writes
``out/shards/NN.jsonl`` and ``out/held.jsonl``. The same files and seed give the same shards.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from random import Random

from . import sources
from .drawing import Drawer
from .groups import read_families, read_values, unknown_slots
from .nearest import near_strangers, without_twins
from .sources import Pair, Source

HERE = Path(__file__).parent
OUT = HERE / "out"
SEED = 20
SHARD = 10_000
HELD_SIZE = 6_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what the arguments ask for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the evaluation data")
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--first", type=int, default=0, help="leave the shards before this one")
    parser.add_argument("--often", help="draw more of the files whose name begins so")
    options = parser.parse_args(arguments)
    banned = sources.evaluation_prompts(options.data)
    public = [sources.read(options.data, name, banned) for name in sources.FILES]
    values = read_values(HERE / "slots.yaml")
    families = read_families(HERE / "groups")
    if missing := unknown_slots(families, values):
        sys.stderr.write(f"left out for want of slot values: {missing}\n")
    families = [f for f in families if not any(s in missing for g in f.groups for s in g.slots)]
    held = [f for f in families if sources.held_back(f.name)]
    train = [f for f in families if not sources.held_back(f.name)]
    train = without_twins(train, held, values, Random(SEED))
    (OUT / "shards").mkdir(parents=True, exist_ok=True)

    strangers = near_strangers(train, [g for s in public for g in s.groups], values, Random(SEED))
    for number in range(options.first, options.shards):
        random = Random(SEED + 1 + number)
        drawer = Drawer(train, values, strangers, random, options.often)
        pairs = _mixed(drawer, [_trained(s) for s in public], banned, SHARD, random, SHARES)
        _write(OUT / "shards" / f"{number:02}.jsonl", pairs)
    random = Random(SEED)
    apart = near_strangers(held, [g for s in public for g in s.held_groups], values, random)
    drawer = Drawer(held, values, apart, random)
    pairs = _mixed(drawer, [_held(s) for s in public], banned, HELD_SIZE, random, HELD_SHARES)
    _write(OUT / "held.jsonl", list({(p.a, p.b): p for p in pairs}.values()))
    sys.stdout.write(
        f"{len(train)} families, {sum(len(f.groups) for f in train)} groups to train\n"
    )
    sys.stdout.write(f"{len(held)} families, {sum(len(f.groups) for f in held)} groups held back\n")
    sys.stdout.write(f"held: {Counter((p.source, p.label) for p in pairs).most_common()}\n")
    return 0


Part = tuple[Sequence[Pair], Sequence[tuple[str, ...]]]


def _trained(source: Source) -> Part:
    return source.train, source.groups


def _held(source: Source) -> Part:
    return source.held, source.held_groups


# Draws of a shard, in percent. Hand-written groups teach most; the public sets are narrow.
SHARES = {
    "equal": 34,
    "contrast": 24,
    "slot": 8,
    "exchange": 4,
    "restated": 24,
    "altered": 12,
    "reworded trap": 8,
    "stranger": 7,
    "random": 2,
    "semanticmemo_train": 3,
    "checklist_mft_half_a": 1.5,
    "nl2bash_half_a": 1.5,
    "advising_half_a": 1,
    "api_docs_paraphrases": 1,
}
# Restatements by rule are the easy part: what is measured and certified on has few of them.
HELD_SHARES = SHARES | {"restated": 10}


def _mixed(
    drawer: Drawer,
    parts: Sequence[Part],
    banned: frozenset[str],
    size: int,
    random: Random,
    shares: Mapping[str, float],
) -> list[Pair]:
    """Draw ``size`` pairs in the proportions of ``shares``; none holds a prompt in ``banned``."""
    ways: dict[str, Callable[[], Pair | None]] = {
        "equal": drawer.equal,
        "contrast": drawer.contrast,
        "slot": drawer.slot,
        "exchange": drawer.exchange,
        "restated": lambda: drawer.restated(_any_text(drawer, parts, random)),
        "altered": lambda: drawer.altered(_any_text(drawer, parts, random)),
        "reworded trap": drawer.reworded_trap,
        "stranger": drawer.stranger,
        "random": drawer.unrelated,
    }
    for name, (pairs, groups) in zip(sources.FILES, parts, strict=True):
        ways[name] = _public(pairs, groups, random)
    pairs_out: list[Pair] = []
    names, weights = list(shares), list(shares.values())
    while len(pairs_out) < size:
        drawn = ways[random.choices(names, weights)[0]]()
        if drawn is None:
            continue
        same = sources.plain(drawn.a) == sources.plain(drawn.b)
        drawn = drawer.dressed(drawn)
        forbidden = {sources.plain(drawn.a), sources.plain(drawn.b)} & banned
        if not forbidden and (drawn.label or not same):
            pairs_out.append(drawn)
    return pairs_out


def _any_text(drawer: Drawer, parts: Sequence[Part], random: Random) -> str:
    """Return a text of the hand-written groups, or one time in four of a public set."""
    pairs = random.choice(parts)[0]
    return random.choice(pairs).a if pairs and random.random() < 0.25 else drawer.text()


def _public(
    pairs: Sequence[Pair], groups: Sequence[tuple[str, ...]], random: Random
) -> Callable[[], Pair | None]:
    """Return a draw from one public file: a labelled pair, or two members of a closed group."""
    equal = [p for p in pairs if p.label]
    unequal = [p for p in pairs if not p.label]
    hard = [p for p in unequal if p.kind != "unrelated"]

    def draw() -> Pair | None:
        if groups and equal and random.random() < 0.5:
            big = random.choice(groups)
            one, two = random.sample(big, 2)
            return Pair(one, two, 1, equal[0].source, "closed group")
        pool = hard if hard and random.random() < 0.7 else unequal
        return random.choice(pool or pairs) if pairs else None

    return draw


def _write(path: Path, pairs: Sequence[Pair]) -> None:
    names = Pair.__slots__
    with path.open("w") as file:
        for pair in pairs:
            row = dict(zip(names, astuple(pair), strict=True))
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
