"""Measure exact hits while other clients miss, beside a bare app on the same machine.

    python bench/beside.py                                # about a minute
    python bench/beside.py --into docs/performance.md

Processes: the proxy, a simulated model that answers at once, a bare ASGI app (``bare_app.py``), the
clients that miss (``beside_misses.py``), and this one. One client asks the bare app and the proxy
in turn, request by request, so that both find the same machine: first with nothing else going on,
then while 8 clients miss in the proxy as fast as it lets them. The load beside the bare app is thus
that of the proxy itself. What is asked of the proxy is stored, and counts only as an exact hit.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import marked
import numpy as np
import uvloop
from load_client import alternate
from overhead_table import machine
from questions import questions
from servers import BENCH, Server, proxy, running, settle, upstream
from store_filling import Filled, fill, tier

MARKS = ("<!-- beside, scorer {}: begin -->", "<!-- beside, scorer {}: end -->")
WANTED = 2.0  # times the bare app's p99
ASKED = 2_000  # pairs a row and round
WARM_UP = 200
STORED = 1_000


@dataclass(slots=True)
class Row:
    """Percentiles in ms by round: p50 and p99 of the bare app, then of exact hits."""

    what: str
    rounds: list[tuple[float, float, float, float]] = field(default_factory=list)
    misses: list[float] = field(default_factory=list)  # a second, by round

    @property
    def ratio(self) -> float:
        """Return how many times the bare app's p99 that of exact hits is."""
        return median(hit_p99 / bare_p99 for _, bare_p99, _, hit_p99 in self.rounds)

    def cells(self) -> str:
        """Return the row of the table."""
        figures = [f"{median(column):.2f}" for column in zip(*self.rounds, strict=True)]
        rate = f"{median(self.misses):,.0f}" if self.misses else ""
        ratios = sorted(hit / bare for _, bare, _, hit in self.rounds)
        spread = f"{ratios[0]:.1f} to {ratios[-1]:.1f}"
        return f"| {self.what} | {' | '.join(figures)} | {self.ratio:.1f} | {spread} | {rate} |"


HEAD = (
    "| beside | bare p50 ms | p99 ms | exact hit p50 ms | p99 ms | p99 / p99 | rounds | misses/s |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
)


async def _exact(row: Row, bare: Server, cache: Server, requests: Sequence[bytes]) -> None:
    pairs = await alternate((bare.port, cache.port), requests)
    counted = [(a, b) for a, b in pairs if a.status == 200 and tier(b) == "exact"]
    if len(counted) < len(pairs):
        raise SystemExit(f"only {len(counted)} of {len(pairs)} requests were exact hits")
    plain, hits = ([each.total_s * 1e3 for each in side] for side in zip(*counted, strict=True))
    p50, p99 = np.percentile(plain, (50, 99)), np.percentile(hits, (50, 99))
    row.rounds.append((float(p50[0]), float(p50[1]), float(p99[0]), float(p99[1])))


@contextmanager
def _missing(row: Row, cache: Server, options: argparse.Namespace, skip: int) -> Iterator[None]:
    command = [sys.executable, str(BENCH / "beside_misses.py"), "--port", str(cache.port)]
    command += ["--clients", str(options.clients), "--skip", str(skip), "--seed", str(options.seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            if child.stdout.readline() != b"asked\n":
                raise SystemExit("the clients that miss did not start")
            yield
        finally:
            child.stdin.close()
            missed, asked, wall_s = map(float, child.stdout.readline().split())
            child.wait()
    if missed < 0.8 * asked:
        raise SystemExit(f"only {missed:.0f} of {asked:.0f} requests beside were misses")
    row.misses.append(missed / wall_s)


def measure(root: Path, options: argparse.Namespace, model: Server, bare: Server) -> list[Row]:
    """Run all rounds."""
    (filled,) = fill(root, [STORED], questions(options.seed), model)
    skip = len(questions(options.seed)) - len(filled.new)
    still, busy = Row("nothing"), Row(f"{options.clients} clients that miss")
    gc.freeze()
    gc.disable()
    with proxy(filled.folder, model.port, options.scorer) as cache:
        settle(cache)
        requests = _requests(filled)
        uvloop.run(alternate((bare.port, cache.port), requests[:WARM_UP]))
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            uvloop.run(_exact(still, bare, cache, requests))
            with _missing(busy, cache, options, skip):
                uvloop.run(_exact(busy, bare, cache, requests))
            skip += int(busy.misses[-1] * 60)  # more than were asked in this round
            settle(cache)
    return [still, busy]


def _requests(filled: Filled) -> list[bytes]:
    asked = [question.request() for question in filled.stored[:WARM_UP]]
    return list(itertools.islice(itertools.cycle(asked), ASKED))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure exact hits beside misses.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8, help="that miss")
    parser.add_argument("--seed", type=int, default=1, help="decides which questions are stored")
    parser.add_argument("--scorer", choices=("shipped", "none"), default="shipped")
    parser.add_argument("--into", type=Path, help="file whose marked section is replaced")
    options = parser.parse_args()
    began_s = time.perf_counter()
    about = machine()
    app = [sys.executable, str(BENCH / "bare_app.py")]
    with tempfile.TemporaryDirectory(prefix="kindcache-bench-") as name:
        root = Path(name)
        with upstream(root, 0.0) as model, running(app, root, "/") as bare:
            rows = measure(root, options, model, bare)
    ratio = rows[-1].ratio
    verdict = "yes" if ratio <= WANTED else "NO"
    lines = [
        *(f"- {line}" for line in about),
        f"- Command: python {shlex.join([Path(__file__).name, *sys.argv[1:]])}",
        f"- Medians over rounds: {options.rounds}, {ASKED:,} requests to either in each",
        f"- Took {time.perf_counter() - began_s:.0f} s",
        "",
        *HEAD,
        *(row.cells() for row in rows),
        "",
        f"- Reached: {verdict}: {ratio:.1f} times the bare app's p99, wanted {WANTED:g}",
    ]
    print("\n".join(lines))
    if options.into is not None:
        begin, end = (mark.format(options.scorer) for mark in MARKS)
        marked.replace(options.into, (begin, end), "\n".join(lines))


if __name__ == "__main__":
    main()
