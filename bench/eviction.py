"""Which entries to keep when room is short: value against LRU, LFU, GDSF and FIFO.

    KINDCACHE_EVALDATA=... python bench/eviction.py --into docs/policies.md

Replays the requests of ``eviction_stream.py`` on the clock of their trace through the table and the
accounts that serve, in rooms of 1, 5, 20 and 50 % of what would hold everything, entries and bytes
alike, without quotas or priorities, for some seeds. A hit saves the time that the model would have
taken for the prompt that was asked; 100 % is what a room for everything saves. Intervals are
Student's, 95 %, over seeds. Seeded; the same seeds give the same table.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

from eviction_stream import KINDS, Drawn, Prompts, arrivals, draw, load
from eviction_table import STUDENT, page
from marked import replace

from kindcache.cache.entries.entry_rows import Entry
from kindcache.cache.entries.occupancy import Occupancy, Stake
from kindcache.cache.entries.table import Table
from kindcache.cache.index.category import CategoryIndex
from kindcache.cache.ports import EntryKey, PartitionKey
from kindcache.policies.allotment import Allotment
from kindcache.policies.guards.signature import signature
from kindcache.policies.room import Limits, Room
from kindcache.policies.worth import WORTHS, Worth, value

SHARES = (0.01, 0.05, 0.2, 0.5)
SEEDS = 5
MARKS = ("<!-- eviction: begin -->", "<!-- eviction: end -->")
HOME = PartitionKey(bytes(16))
NOTHING = signature("")


@dataclass(slots=True)
class Outcome:
    """One replay, by kind."""

    asked: list[int] = field(default_factory=lambda: [0] * len(KINDS))
    hits: list[int] = field(default_factory=lambda: [0] * len(KINDS))
    saved_s: list[float] = field(default_factory=lambda: [0.0] * len(KINDS))
    evictions: int = 0
    most: tuple[int, int] = (0, 0)  # entries and bytes held at the most


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides. ``coverage``: it hears of an entry's nearest neighbour."""

    worth: Worth
    coverage: bool = True


POLICIES: Mapping[str, Policy] = {
    **{name: Policy(worth) for name, worth in WORTHS.items()},
    "value, no coverage": Policy(value, coverage=False),
}


class Replay:
    """Replays one stream in one room."""

    def __init__(
        self,
        prompts: Prompts,
        drawn: Drawn,
        allotment: Allotment,
        seed: int,
        *,
        coverage: bool = True,
    ) -> None:
        self._coverage = coverage
        self._prompts = prompts
        self._drawn = drawn
        self._now_s = 0.0
        self._table = Table(Occupancy(allotment, lambda: self._now_s, Random(seed)), _no_index)
        self._here: set[int] = set()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Ask everything; return what came of it."""
        for moment, prompt in self._drawn.requests:
            self._now_s = moment
            for entry in self._table.expire(moment):
                self._here.discard(_number(entry.key))
            self._ask(prompt)
        return self.outcome

    def _ask(self, prompt: int) -> None:
        outcome, kind = self.outcome, self._prompts.kind[prompt]
        outcome.asked[kind] += 1
        likeness = 0.0
        if prompt in self._here:
            self._hit(prompt, prompt)
            return
        for other, cosine, answers in self._prompts.near[prompt]:
            if other in self._here:
                likeness = likeness or cosine
                if answers:
                    self._hit(prompt, other)
                    return
        self._store(prompt, likeness)

    def _hit(self, asked: int, stored: int) -> None:
        kind = self._prompts.kind[asked]
        self._table.touch(_key(stored), by_meaning=asked != stored)
        self.outcome.hits[kind] += 1
        self.outcome.saved_s[kind] += self._drawn.cost_s[asked]

    def _store(self, prompt: int, likeness: float) -> None:
        kind, now_s = KINDS[self._prompts.kind[prompt]], self._now_s
        size = self._drawn.size_bytes[prompt]
        entry = Entry(_key(prompt), HOME, kind.name, "", NOTHING, now_s, now_s + kind.ttl_s, size)
        stake = Stake(
            cost_s=self._drawn.cost_s[prompt], likeness=likeness if self._coverage else 0.0
        )
        for old in self._table.admit(entry, None, stake):
            self._here.discard(_number(old.entry.key))
            self.outcome.evictions += 1
        self._here.add(prompt)
        used, most = self._table.occupancy.total, self.outcome.most
        self.outcome.most = (max(most[0], used.entries), max(most[1], used.size_bytes))


def _no_index(_category: str) -> CategoryIndex:
    raise AssertionError("who may answer whom was decided beforehand")


def _key(prompt: int) -> EntryKey:
    return EntryKey(prompt.to_bytes(16))


def _number(key: EntryKey) -> int:
    return int.from_bytes(key)


def measure(
    prompts: Prompts, trace: Sequence[tuple[float, int]], seed: int
) -> tuple[Drawn, Outcome, dict[tuple[str, float], Outcome]]:
    """Replay one seed's stream in every room; return it, what all room gives, and the cells."""
    started = time.process_time()
    drawn = draw(prompts, trace, seed)
    unbounded = Allotment(Room(Limits(len(prompts.kind))))
    whole = Replay(prompts, drawn, unbounded, seed).run()
    entries, size_bytes = whole.most
    cells = {}
    for share in SHARES:
        room = Room(Limits(max(1, int(share * entries)), int(share * size_bytes)))
        for name, policy in POLICIES.items():
            allotment = Allotment(room, policy.worth)
            replay = Replay(prompts, drawn, allotment, seed, coverage=policy.coverage)
            cells[name, share] = replay.run()
    print(f"seed {seed}: {time.process_time() - started:.0f} s of processor", file=sys.stderr)
    return drawn, whole, cells


def main() -> int:
    """Measure, print, and write into a page if asked; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--into", type=Path, help="page to write the table into")
    asked = parser.parse_args()
    folder = os.environ.get("KINDCACHE_EVALDATA")
    if not folder:
        sys.exit("KINDCACHE_EVALDATA is not set: it names the folder of the labelled streams")
    if asked.seeds not in STUDENT:
        sys.exit(f"an interval needs {min(STUDENT)} to {max(STUDENT)} seeds")
    prompts, trace = load(Path(folder)), arrivals(Path(folder))
    with ProcessPoolExecutor(asked.processes, get_context("fork")) as pool:
        found = list(pool.map(partial(measure, prompts, trace), range(asked.seeds)))
    text = page(found, SHARES, tuple(POLICIES))
    print(text)
    if asked.into:
        replace(asked.into, MARKS, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
