"""Measure whether `max_error_rate` holds on what is asked after the labelled lookups.

    KINDCACHE_EVALDATA=... python bench/calibration.py [--into docs/evaluation.md]

One draw: 2,000 seeded positions of a stream are asked first, in the file's order, from an empty
cache. Nothing is served by meaning then, all is stored, and of each lookup the candidate that the
judge found surest is labelled by its key: what shadow mode sees. The bars of all categories are
calibrated from that, for each rate, and the rest of the stream is asked in order, three times from
the same 2,000 entries: at the strict bars and at the calibrated ones. A hit stores nothing.

Lookups go through the engine as `config/default.yaml` sets it up. Log-odds are remembered in the
system's folder for temporary files, under the scorer's identity.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from random import Random

import marked

from kindcache.adapters.build import build
from kindcache.adapters.evaluation.data import Query, load_stream
from kindcache.adapters.evaluation.engine_asker import EngineAsker
from kindcache.cache.engine import Engine
from kindcache.cache.ports import PairScorer
from kindcache.cache.stores.memory import MemoryStore
from kindcache.config.load import default_path, load
from kindcache.config.settings import Settings
from kindcache.policies.calibration import NOTHING, Tally, bars
from kindcache.policies.fusion import Fusion
from kindcache.policies.observation import Observation, Source
from kindcache.policies.wilson import wilson

STREAM = "bitext_support"
LARGEST = "support"  # the category that decides most of it
LABELLED = 2000
DRAWS = 10
RATES = (0.02, 0.01)
SCOPE = "calibration"
MARKS = ("<!-- calibration -->", "<!-- /calibration -->")
INTRODUCTION = """\
## Calibrated bars

`{stream}`: {labelled:,} lookups are labelled, as shadow mode would see them, and the bars are
calibrated from them (`docs/calibration.md`); then the rest is asked in order, at these bars and,
from the same entries, at the strict ones. Each draw labels another seeded sample.

Made by:

```sh
{command}
```
"""
COMMAND = "KINDCACHE_EVALDATA=... python bench/calibration.py --into docs/evaluation.md"


@dataclass(frozen=True, slots=True)
class Served:
    """What one pass over the rest served."""

    bar: float  # of LARGEST
    certified: int  # categories with a certificate of their own or the pool's
    queries: int
    hits: int
    wrong: int

    @property
    def hit_rate(self) -> float:
        """Hits of queries."""
        return self.hits / self.queries

    @property
    def error(self) -> float:
        """Wrong hits of hits."""
        return self.wrong / self.hits if self.hits else 0.0


Draw = tuple[Served, ...]  # at the strict bars, then at each of RATES


@dataclass(slots=True)
class Remembering:
    """Asks a scorer about each pair once, over all draws."""

    scorer: PairScorer
    known: dict[str, float | None] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Name the scorer."""
        return self.scorer.identity

    @property
    def fusion(self) -> Fusion:
        """Return the scorer's fusion."""
        return self.scorer.fusion

    async def score(self, asked: str, stored: str) -> float | None:
        """Return what is remembered, else ask."""
        pair = blake2b(f"{asked}\0{stored}".encode(), digest_size=10).hexdigest()
        if pair not in self.known:
            self.known[pair] = await self.scorer.score(asked, stored)
        return self.known[pair]

    async def open(self) -> None:
        """Open the scorer."""
        await self.scorer.open()

    async def aclose(self) -> None:
        """Close the scorer."""
        await self.scorer.aclose()

    def file(self, part: int) -> Path:
        """Return where one process keeps what it knows."""
        name = self.identity.replace("/", "-")
        return Path(tempfile.gettempdir()) / f"kindcache-calibration-{name}-{part}.json"

    def recall(self, parts: int) -> None:
        """Read what earlier runs kept."""
        for part in range(parts):
            if self.file(part).is_file():
                self.known |= json.loads(self.file(part).read_text())

    def keep(self, part: int) -> None:
        """Keep everything for later runs."""
        self.file(part).write_text(json.dumps(self.known))


def main() -> int:
    """Measure, print, and write into a page if asked; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--limit", type=int, help="queries of the stream, for a first look")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    stream = Path(os.environ["KINDCACHE_EVALDATA"]) / "streams" / f"{STREAM}.jsonl.gz"
    queries = load_stream(stream, options.limit)
    shares = [range(options.draws)[n :: options.processes] for n in range(options.processes)]
    work = [(queries, tuple(seeds), n, options.processes) for n, seeds in enumerate(shares)]
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        found = {seed: draw for part in pool.map(measured, work) for seed, draw in part.items()}
    text = page([found[seed] for seed in sorted(found)])
    print(text)
    if options.into:
        marked.replace(options.into, MARKS, text)
    return 0


def measured(work: tuple[Sequence[Query], Sequence[int], int, int]) -> Mapping[int, Draw]:
    """Make the draws of one process."""
    return asyncio.run(_measured(*work))


async def _measured(
    queries: Sequence[Query], seeds: Sequence[int], part: int, parts: int
) -> Mapping[int, Draw]:
    service = build(
        _settings(),
        _nobody,
        upstream="calibration",
        report=lambda line: print(line, file=sys.stderr),
        store=MemoryStore(clock=time.time),
    )
    await service.lifecycle.open()
    try:
        engine = service.engine
        if engine.decider.scorer is None:
            raise SystemExit("the pair scorer's weights are not here")
        scorer = Remembering(engine.decider.scorer)
        scorer.recall(parts)
        engine.decider.scorer = scorer
        await engine.evidence.keep()  # sets its bars, none, before ours
        draws = {}
        for seed in seeds:
            started = time.perf_counter()
            draws[seed] = await drawn(engine, queries, seed)
            scorer.keep(part)
            print(f"draw {seed + 1}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
        return draws
    finally:
        await service.lifecycle.aclose()


def _settings() -> Settings:
    """Return the shipped policies over a memory store; a busy machine makes no miss."""
    shipped, patience = load(default_path()), {"deadline": 60.0}
    return shipped.model_copy(
        update={
            "store": shipped.store.model_copy(update={"url": "memory://"}),
            "embedder": shipped.embedder.model_copy(update=patience),
            "judge": shipped.judge.model_copy(update=patience),
        }
    )


async def drawn(engine: Engine, queries: Sequence[Query], seed: int) -> Draw:
    """Label a sample, then serve the rest at each of the bars."""
    policy, asker = engine.policy, EngineAsker(engine)
    chosen = set(Random(seed).sample(range(len(queries)), min(LABELLED, len(queries) // 2)))
    first = [query for at, query in enumerate(queries) if at in chosen]
    rest = [query for at, query in enumerate(queries) if at not in chosen]
    await asker.prepare([query.text for query in queries])
    strict = {name: policy[name].min_probability for name in policy.names}
    policy.use_bars(dict.fromkeys(policy.names, NOTHING))
    tallies = await labelled(asker, first)
    results: list[Served] = []
    known: dict[str, tuple[int, int]] = {}  # equal bars serve alike
    for rate in (None, *RATES):
        found = bars(tallies, dict.fromkeys(policy.names, rate), strict)
        in_force = strict | {name: bar.min_probability for name, bar in found.items()}
        policy.use_bars(in_force)
        key = repr(in_force)
        known[key] = known.get(key) or await served(asker, first, rest)
        certified = sum(bar.certified for bar in found.values())
        results.append(Served(in_force[LARGEST], certified, len(rest), *known[key]))
    policy.use_bars({})
    return tuple(results)


async def labelled(asker: EngineAsker, queries: Sequence[Query]) -> Mapping[str, Tally]:
    """Ask and store everything; return what the labels say, by category."""
    filled: dict[str, str] = {}
    tallies: dict[str, Tally] = {}
    for query in queries:
        asked = await asker.ask(SCOPE, query.text)
        if not asked.hit and asked.probability is not None and asked.candidate is not None:
            right = filled[asked.candidate] == query.key
            seen = Observation(asked.category, asked.probability, right, Source.LABEL, served=False)
            tallies[asked.category] = tallies.get(asked.category, Tally()).add(seen, 0.0)
        await asker.fill(SCOPE, query.text)
        filled[query.text] = query.key
    await asker.forget(SCOPE)
    return tallies


async def served(
    asker: EngineAsker,
    first: Sequence[Query],
    rest: Sequence[Query],
) -> tuple[int, int]:
    """Store ``first``, then ask ``rest`` in order; return hits, and wrong ones."""
    filled: dict[str, str] = {}
    for query in first:
        await asker.fill(SCOPE, query.text)
        filled[query.text] = query.key
    hits = wrong = 0
    for query in rest:
        asked = await asker.ask(SCOPE, query.text)
        if asked.hit:
            hits += 1
            wrong += filled.get(asked.served_prompt or "") != query.key
        else:
            await asker.fill(SCOPE, query.text)
            filled[query.text] = query.key
    await asker.forget(SCOPE)
    return hits, wrong


async def _nobody(*_: object) -> None:
    raise AssertionError("no model is asked")


def page(draws: Sequence[Draw]) -> str:
    """Return the section with both tables."""
    heads = [f"calibrated for {rate:.0%}" for rate in RATES]
    columns = [
        "bars",
        "draws within the rate",
        "wrong of hits, %: mean (worst)",
        "over all draws, %",
        "hits, %: mean (least)",
        "hits against strict: mean (least)",
    ]
    each = [f"{name}: bar of {LARGEST}, hits, wrong of hits, %" for name in heads]
    return "\n".join(
        [
            INTRODUCTION.format(stream=STREAM, labelled=LABELLED, command=COMMAND),
            f"| {' | '.join(columns)} |",
            "| :-- | --: | --: | --: | --: | --: |",
            *(summary(name, draws, at) for at, name in enumerate(["strict", *heads])),
            "",
            f"| draw | strict: hits, wrong of hits, % | {' | '.join(each)} |",
            "| --: | --: |" + " --: |" * len(RATES),
            *(row(number, draw) for number, draw in enumerate(draws, 1)),
            "",
            "Over all draws: with the 95 % Wilson interval as if they were independent, which they",
            "are not, as they share most of what is served.",
        ]
    )


def summary(name: str, draws: Sequence[Draw], at: int) -> str:
    """Return one row over all draws."""
    here, strict = [draw[at] for draw in draws], [draw[0] for draw in draws]
    errors, rates = [one.error for one in here], [one.hit_rate for one in here]
    gains = [one.hits / max(1, other.hits) for one, other in zip(here, strict, strict=True)]
    within = f"{sum(error <= RATES[at - 1] for error in errors)} of {len(draws)}" if at else "-"
    wrong, hits = sum(one.wrong for one in here), sum(one.hits for one in here)
    low, high = wilson(wrong, hits)
    return (
        f"| {name} | {within} | {_mean(errors):.2f} ({100 * max(errors):.2f}) "
        f"| {100 * wrong / max(1, hits):.2f} ({100 * low:.2f}-{100 * high:.2f}) "
        f"| {_mean(rates):.1f} ({100 * min(rates):.1f}) "
        f"| {_mean(gains) / 100:.2f}x ({min(gains):.2f}x) |"
    )


def row(number: int, draw: Draw) -> str:
    """Return one draw's row."""
    strict, *calibrated = draw
    cells = [f"{100 * strict.hit_rate:.1f}, {100 * strict.error:.2f}"]
    cells += [
        f"{one.bar:g}{'' if one.certified else ' (none certified)'}, "
        f"{100 * one.hit_rate:.1f}, {100 * one.error:.2f}"
        for one in calibrated
    ]
    return f"| {number} | " + " | ".join(cells) + " |"


def _mean(values: Sequence[float]) -> float:
    return 100 * sum(values) / len(values)


if __name__ == "__main__":
    sys.exit(main())
