"""Measure what each guard costs and what it is worth, on labelled pairs of prompts.

    KINDCACHE_EVALDATA=... python bench/guards.py
    python bench/guards.py --floor 0.8          # only pairs that the default model finds as near
    python bench/guards.py --show names         # hits that a guard loses, at most --most of them
    python bench/guards.py --beside --into docs/guards.md

Per guard: share of the pairs with one answer that it blocks (hits lost) and share of the pairs
with two that it stops; "alone" is the share that no other guard stops. Read are the training and
the tuning files only, so the reporting files stay unseen. Seeded.

``--beside`` counts only what the pair scorer would serve at the shipped bar, and adds the
word-order pairs of the tests; ``--into`` writes that, and the time that guards take, into a page.
``--held training/out/held.jsonl`` adds what ``training.corpus`` held back from the scorer.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import timeit
from collections.abc import Iterable, Iterator
from pathlib import Path

import marked
from guard_pairs import TRAINING, TUNING, Pair, encoder, files, read, similarities
from guards_beside import MARKS, lines

from kindcache.policies.guards.signature import Signature, signature
from kindcache.policies.guards.verdict import Objection, objection

SEED = 7
TYPICAL = "How do I move the notes of my meeting with Alice from Monday to Friday at 7 pm?"


def near(pairs: list[Pair], floor: float) -> list[Pair]:
    found = zip(pairs, similarities(pairs, encoder()), strict=True)
    return [pair for pair, similarity in found if similarity >= floor]


def table(pairs: list[Pair]) -> None:
    same = [pair for pair in pairs if pair.same]
    other = [pair for pair in pairs if not pair.same]
    print(f"\n{'guard':<12} {'lost':>7} {'alone':>7} {'stopped':>8} {'alone':>7}")
    for guard in Objection:
        shares = [
            share(group, {guard}, alone=alone) for group in (same, other) for alone in (False, True)
        ]
        print(f"{guard:<12} {shares[0]:>7} {shares[1]:>7} {shares[2]:>8} {shares[3]:>7}")
    everything = frozenset(Objection)
    print(f"{'any':<12} {share(same, everything):>7} {'':>7} {share(other, everything):>8}")
    print(f"{'of':<12} {len(same):>7} {'':>7} {len(other):>8}")


def share(pairs: list[Pair], guards: Iterable[Objection], *, alone: bool = False) -> str:
    wanted = frozenset(guards)
    hits = sum(
        pair.objections == wanted if alone else bool(pair.objections & wanted) for pair in pairs
    )
    return f"{hits / len(pairs):.2%}" if pairs else "-"


def by_source(pairs: list[Pair]) -> None:
    print(f"\n{'source':<24} {'lost':>7} {'of':>6} {'stopped':>8} {'of':>6}")
    for source in dict.fromkeys(pair.source for pair in pairs):
        groups = [
            [p for p in pairs if p.source == source and p.same is same] for same in (True, False)
        ]
        cells = [(share(group, Objection), len(group)) for group in groups]
        print(f"{source:<24} {cells[0][0]:>7} {cells[0][1]:>6} {cells[1][0]:>8} {cells[1][1]:>6}")


def speed() -> Iterator[str]:
    mine, stored = signature(TYPICAL), signature(TYPICAL.replace("notes", "minutes"))

    def check() -> Objection | None:
        return objection(mine, stored)

    def make() -> Signature:
        return signature(TYPICAL)

    for name, work in (("signature", make), ("check", check)):
        best = min(timeit.repeat(work, number=2000, repeat=5)) / 2000
        yield f"{name}: {best * 1e6:.0f} us for {len(TYPICAL.split())} words"


def show(pairs: list[Pair], guard: Objection, most: int, *, same: bool) -> None:
    hit = [pair for pair in pairs if pair.same is same and guard in pair.objections]
    for pair in random.Random(SEED).sample(hit, min(most, len(hit))):
        print(f"[{pair.source}] {pair.first} | {pair.second}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--floor", type=float, default=-1.0, help="least similarity of a pair")
    parser.add_argument("--show", type=Objection, choices=list(Objection))
    parser.add_argument("--stopped", action="store_true", help="show what the guard rightly stops")
    parser.add_argument("--most", type=int, default=20)
    parser.add_argument("--beside", action="store_true", help="count what the scorer would serve")
    parser.add_argument("--into", type=Path, help="page to write --beside into")
    parser.add_argument("--bar", type=float, help="for --beside, instead of the shipped one")
    parser.add_argument("--held", type=Path, help="pairs held back from training, for --beside")
    asked = parser.parse_args()
    folder = os.environ.get("KINDCACHE_EVALDATA")
    if not folder:
        sys.exit("KINDCACHE_EVALDATA is not set: it names the folder of the labelled pairs")
    if asked.beside:
        made = [
            *lines(Path(folder), asked.held, asked.bar),
            *(f"- Time, {line}." for line in speed()),
        ]
        print("\n".join(made))
        if asked.into:
            marked.replace(asked.into, MARKS, "\n".join(made))
        return
    pairs = list(read(files(Path(folder), TRAINING, TUNING)))
    if asked.floor > -1:
        pairs = near(pairs, asked.floor)
    if asked.show:
        show(pairs, asked.show, asked.most, same=not asked.stopped)
        return
    table(pairs)
    by_source(pairs)
    print("\n".join(["", *speed()]))


if __name__ == "__main__":
    main()
