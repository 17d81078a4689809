"""What each guard is worth beside the judge that decides after it: the pair scorer, or a bar.

A pair counts only if that judge would serve it. Among those pairs, a hit that a guard objects to
is lost, and a trap that it objects to is stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from random import Random

from guard_pairs import (
    TRAINING,
    TUNING,
    WORD_ORDER,
    Pair,
    Scored,
    encoder,
    files,
    read,
    scored,
    similarities,
)

from kindcache.cache.embedders.onnx import OnnxEncoder
from kindcache.cache.scorers.shipped import load as load_scorer
from kindcache.config.load import default_path, load
from kindcache.policies.guards.verdict import Objection

SEED = 7
ROWS = 4_000  # of the training files, with a similarity from the floor on
STEP = 500
MARKS = ("<!-- guards -->", "<!-- /guards -->")
TITLES = (
    "guard",
    "hits lost",
    "by it alone",
    "traps stopped",
    "by it alone",
    "wrong, this guard only",
    "wrong, all but this",
)
HEAD = (f"| {' | '.join(TITLES)} |", f"| :-- |{' --: |' * 6}")
SEEN = f"{ROWS:,} rows of the training files; the scorer was trained on such rows"
Judge = Callable[[Scored], bool]


def lines(folder: Path, held: Path | None = None, bar: float | None = None) -> list[str]:
    """Measure all blocks; return them as Markdown. Without ``bar`` it is the shipped one."""
    policy = load(default_path()).defaults
    floor, alone = policy.candidate_floor, policy.similarity_threshold
    least = policy.min_probability if bar is None else bar

    def serves(seen: Scored) -> bool:
        return seen.similarity >= floor and seen.probability >= least

    def is_near(seen: Scored) -> bool:
        return seen.similarity >= alone

    page = [f"### Beside the pair scorer: similarity from {floor:g}, probability from {least:g}"]
    public: list[Scored] = []
    everything: list[Scored] = []
    for title, block in measured(folder, floor, held):
        page += ["", f"**{title}.** {counts(block)}", "", *HEAD, *table(block, serves)]
        everything += block
        public += block if WORD_ORDER.name not in title else []
    page += ["", f"### Without the scorer: similarity from {alone:g}", ""]
    page += [f"**All but the word-order pairs.** {counts(public)}", "", *HEAD]
    page += table(public, is_near)
    return [*page, "", *idle(everything, serves, is_near)]


def measured(folder: Path, floor: float, held: Path | None) -> Iterator[tuple[str, list[Scored]]]:
    """Yield the blocks, each with its title."""
    model, scorer = encoder(), load_scorer()
    blocks = [
        ("Tuning files (`pairs/semanticmemo_*`)", near(files(folder, TUNING), model)),
        (SEEN, sample(files(folder, TRAINING), model, floor)),
        (f"Word order (`tests/truth/{WORD_ORDER.name}`)", near([WORD_ORDER], model)),
    ]
    if held is not None:
        blocks.insert(1, ("Pairs held back from the scorer's training", near([held], model)))
    for title, pairs in blocks:
        yield title, [scored(pair, similarity, scorer) for pair, similarity in pairs]


def near(paths: Sequence[Path], model: OnnxEncoder) -> list[tuple[Pair, float]]:
    pairs = list(read(paths))
    return list(zip(pairs, similarities(pairs, model), strict=True))


def sample(paths: Sequence[Path], model: OnnxEncoder, floor: float) -> list[tuple[Pair, float]]:
    """Draw ``ROWS`` of the pairs with a similarity from ``floor`` on."""
    pairs, drawn = list(read(paths)), list[tuple[Pair, float]]()
    Random(SEED).shuffle(pairs)
    for start in range(0, len(pairs), STEP):
        part = pairs[start : start + STEP]
        together = zip(part, similarities(part, model), strict=True)
        drawn += [(pair, similarity) for pair, similarity in together if similarity >= floor]
        if len(drawn) >= ROWS:
            break
    return drawn[:ROWS]


def counts(seen: Sequence[Scored]) -> str:
    same = sum(each.pair.same for each in seen)
    return f"{same:,} pairs with one answer, {len(seen) - same:,} with two."


def table(seen: Sequence[Scored], judge: Judge) -> Iterator[str]:
    served = [each.pair for each in seen if judge(each)]
    for guard in Objection:
        cells = [str(hit) for same in (True, False) for hit in touched(served, guard, same=same)]
        cells += [wrong(served, {guard}), wrong(served, set(Objection) - {guard})]
        yield f"| {guard} | {' | '.join(cells)} |"
    any_of = [sum(p.same is same and bool(p.objections) for p in served) for same in (True, False)]
    yield f"| all | {any_of[0]} | | {any_of[1]} | | {wrong(served, set(Objection))} | |"
    yield f"| none | 0 | | 0 | | {wrong(served, ())} | |"


def touched(served: Sequence[Pair], guard: Objection, *, same: bool) -> tuple[int, int]:
    """Return how many pairs the guard objects to, and to how many no other one does."""
    found = [p.objections for p in served if p.same is same and guard in p.objections]
    return len(found), sum(len(each) == 1 for each in found)


def wrong(served: Sequence[Pair], guards: Collection[Objection]) -> str:
    """Return what is served wrongly past ``guards``, as "wrong / hits (share)"."""
    left = [pair for pair in served if pair.objections.isdisjoint(guards)]
    bad = sum(not pair.same for pair in left)
    return f"{bad} / {len(left)} ({bad / len(left):.1%})" if left else "0 / 0"


def idle(seen: Sequence[Scored], *judges: Judge) -> Iterator[str]:
    """Name the guards that stop nothing which the judge would serve, and yet cost hits."""
    titles = ("beside the scorer", "without it")
    for title, judge in zip(titles, judges, strict=True):
        served = [each.pair for each in seen if judge(each)]
        found = [
            f"`{guard}`"
            for guard in Objection
            if touched(served, guard, same=True)[0] and not touched(served, guard, same=False)[0]
        ]
        yield f"- Stop nothing and cost hits, {title}: {', '.join(found) or 'none'}."
