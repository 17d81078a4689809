"""Measure what the cache costs and saves, through HTTP on this machine.

    python bench/overhead.py                       # a table, in a few minutes
    python bench/overhead.py --markdown --into docs/performance.md
    python bench/overhead.py --rounds 1 --sizes 1000

One process each: the proxy (``kindcache serve``, shipped policies), a simulated model, and this
client. A store is filled through the proxy once for each size; every round then starts a new proxy
on a copy of it, waits until it rests, and measures. A request counts only if the answer's
``X-Cache`` headers say that it was what its row says. Figures are medians over rounds.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import marked
import uvloop
from load_client import Load, Response, alternate, load
from models_alone import alone
from overhead_table import MARKS, Figures, Results, Row, figures, machine
from questions import FIRST, OTHERS, Question, questions
from redis_server import redis_server
from servers import Server, proxy, settle, upstream
from store_filling import Filled, fill, store, tier

EXACT_MS, REDIS_MS, SEMANTIC_MS, MISS_MS = 0.6, 0.45, 2.5, 3.0  # what the medians are to reach
WARM_UP = 100
REDIS_STORED = 500
COUNTED_LEAST = 0.8  # of a row's requests; with fewer the row is not what it says

# Requests of a row in a round: with one client, with many.
EXACT = (2_000, 4_000)
SEMANTIC = (500, 1_000)
MISSES = (400, 800)
STREAMS = 200


@dataclass(frozen=True, slots=True)
class Round:
    """One round at one size: who is asked, what, and where the figures go."""

    proxy: Server
    model: Server
    filled: Filled
    clients: int
    results: Results

    async def measure(self) -> None:
        """Measure every row. Misses come last, since they add entries."""
        await self._exact()
        await self._semantic()
        await self._misses()

    async def from_redis(self) -> None:
        """Measure exact hits whose answers lie in Redis alone."""
        await self._exact("exact hit from Redis", REDIS_MS)

    async def _exact(self, what: str = "exact hit", target_ms: float = EXACT_MS) -> None:
        asked = [question.request() for question in self.filled.stored[:500]]
        await load(self.proxy.port, asked)  # from here on these answers are in memory, if in any
        for count, clients in zip(EXACT, (1, self.clients), strict=True):
            requests = itertools.islice(itertools.cycle(asked), count)
            done = await load(self.proxy.port, requests, clients)
            self._add(what, "exact", done, clients, target_ms)

    async def _semantic(self) -> None:
        stored = self.filled.stored
        for wording, count, clients in zip(OTHERS, SEMANTIC, (1, self.clients), strict=True):
            await load(self.proxy.port, _requests(stored[-WARM_UP:], wording))
            requests = _requests(stored[:-WARM_UP][:count], wording)
            done = await load(self.proxy.port, requests, clients)
            self._add("semantic hit", "semantic", done, clients, SEMANTIC_MS)

    async def _misses(self) -> None:
        new = iter(self.filled.new)
        ports = (self.model.port, self.proxy.port)
        await alternate(ports, _requests(itertools.islice(new, WARM_UP)))
        whole = await alternate(ports, _requests(itertools.islice(new, MISSES[0])))
        self._add_pairs("miss", whole, [(a.total_s, b.total_s) for a, b in self._missed(whole)])
        streams = await alternate(ports, _requests(itertools.islice(new, STREAMS), stream=True))
        first = [(a.first_byte_s, b.first_byte_s) for a, b in self._missed(streams)]
        self._add_pairs("streamed miss, first byte", streams, first)
        requests = _requests(itertools.islice(new, MISSES[1]))
        done = await load(self.model.port, requests, self.clients)
        row = Row(self.filled.size, "upstream directly", self.clients)
        self.results.add(row, _direct(done))
        done = await load(self.proxy.port, requests, self.clients)
        self._add("miss", "miss", done, self.clients)

    def _missed(
        self, pairs: Sequence[tuple[Response, Response]]
    ) -> list[tuple[Response, Response]]:
        """Return the pairs whose second request was a miss; the first went to the model."""
        return [(a, b) for a, b in pairs if a.status == 200 and tier(b) == "miss"]

    def _add(
        self, what: str, wanted: str, done: Load, clients: int, target_ms: float | None = None
    ) -> None:
        times = [each.total_s for each in done.responses if tier(each) == wanted]
        asked = len(done.responses)
        _check(what, len(times), asked)
        row = Row(self.filled.size, what, clients, target_ms if clients == 1 else None)
        self.results.add(row, figures(times, asked, done.wall_s))

    def _add_pairs(
        self, what: str, asked: Sequence[object], times: Sequence[tuple[float, float]]
    ) -> None:
        _check(what, len(times), len(asked))
        size = self.filled.size
        direct, through = zip(*times, strict=True)
        added = [b - a for a, b in times]
        rows = {
            Row(size, what): through,
            Row(size, f"{what}: upstream directly"): direct,
            Row(size, f"{what}: overhead", target_ms=MISS_MS): added,
        }
        for row, measured in rows.items():
            self.results.add(row, figures(measured, len(asked)))


async def measure_floor(model: Server, clients: int, results: Results) -> None:
    """Measure an app that answers at once: what server and client take by themselves."""
    request = Question(("ask", "floor", "nothing")).request(path="/floor")
    await load(model.port, [request] * WARM_UP)
    for count, each in zip(EXACT, (1, clients), strict=True):
        done = await load(model.port, [request] * count, each)
        row = Row(None, "bare ASGI app (floor)", each)
        results.add(row, _direct(done))


def measure(
    root: Path, options: argparse.Namespace, model: Server
) -> tuple[Results, dict[int, list[float]]]:
    """Fill the stores and run all rounds; return figures, and what starts took, by size."""
    say(f"filling stores to {', '.join(f'{size:,}' for size in options.sizes)} entries")
    stores = fill(root, options.sizes, questions(options.seed), model)
    if len(stores[-1].new) < WARM_UP + sum(MISSES) + STREAMS:
        raise SystemExit("there are not enough questions left to ask")
    results = Results()
    starts: dict[int, list[float]] = {filled.size: [] for filled in stores}
    gc.freeze()
    gc.disable()  # the client must not pause; what it holds is bounded
    for number in range(options.rounds):
        uvloop.run(measure_floor(model, options.clients, results))
        for filled in stores:
            say(f"round {number + 1} of {options.rounds}, {filled.size:,} entries")
            folder = shutil.copytree(filled.folder, root / f"round-{number}-{filled.size}")
            with proxy(folder, model.port, options.scorer) as server:
                starts[filled.size].append(server.ready_s)
                settle(server)
                one = Round(server, model, filled, options.clients, results)
                uvloop.run(one.measure())
        measure_redis(root, number, options, model, results)
    return results, starts


def measure_redis(
    root: Path, number: int, options: argparse.Namespace, model: Server, results: Results
) -> None:
    """Measure exact hits from a Redis server of their own, started and filled for this round."""
    folder = root / f"redis-{number}"
    folder.mkdir()
    with (
        redis_server(folder) as url,
        proxy(folder, model.port, options.scorer, redis=url) as server,
    ):
        asked = questions(options.seed)[: 2 * REDIS_STORED]  # some land in other categories
        stored = tuple(uvloop.run(store(server, asked)))[:REDIS_STORED]
        settle(server)
        filled = Filled(folder, len(stored), stored, ())
        uvloop.run(Round(server, model, filled, options.clients, results).from_redis())


def say(line: str) -> None:
    """Print progress, apart from the table."""
    print(line, file=sys.stderr, flush=True)


def _requests(
    asked: Sequence[Question] | itertools.islice[Question],
    wording: str = FIRST,
    *,
    stream: bool = False,
) -> list[bytes]:
    return [question.request(wording, stream=stream) for question in asked]


def _direct(done: Load) -> Figures:
    times = [each.total_s for each in done.responses if each.status == 200]
    return figures(times, len(done.responses), done.wall_s)


def _check(what: str, counted: int, asked: int) -> None:
    if counted < COUNTED_LEAST * asked:
        raise SystemExit(f"{what}: only {counted} of {asked} requests were that")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the cache through HTTP.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000], help="entries")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32, help="of the rows with many")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of the simulated model")
    parser.add_argument("--seed", type=int, default=1, help="decides which questions are stored")
    parser.add_argument("--scorer", choices=("shipped", "none"), default="shipped")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--into", type=Path, help="file whose marked section is replaced")
    options = parser.parse_args()
    options.sizes.sort()
    started_s = time.perf_counter()
    about = [*machine(), *alone()]
    with (
        tempfile.TemporaryDirectory(prefix="kindcache-bench-") as name,
        upstream(root := Path(name), options.latency_ms) as model,
    ):
        results, starts = measure(root, options, model)
    about += [
        f"Command: python {shlex.join([Path(__file__).name, *sys.argv[1:]])}",
        f"Medians over rounds: {options.rounds}; seed: {options.seed}",
        f"Latency of the simulated model: {options.latency_ms:g} ms",
        f"Took {time.perf_counter() - started_s:.0f} s",
    ]
    about += [
        f"Start of the proxy until ready, {size:,} entries stored: {median(taken):.1f} s"
        for size, taken in starts.items()
    ]
    print("\n".join(results.lines(about, markdown=options.markdown)))
    if options.into is not None:
        begin, end = (mark.format(options.scorer) for mark in MARKS)
        text = "\n".join(results.lines(about, markdown=True))
        marked.replace(options.into, (begin, end), text)


if __name__ == "__main__":
    main()
