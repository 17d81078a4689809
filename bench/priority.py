"""Measure how far the models should give way to the event loop (``cache/giving_way.py``).

    python bench/priority.py                                # some two minutes
    python bench/priority.py --into docs/performance.md

One proxy for each number of steps, all at rest but the one that is asked, in turn. *Exact hits*:
one client asks what is stored while 8 others miss. *Misses*: one client misses while two other
processes compute without end, as a server beside this one may; they belong to the same session,
which is the worst case (Linux shares between sessions and control groups before it looks at this).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import marked
import numpy as np
import uvloop
from load_client import Response, connect, load
from overhead_table import machine
from questions import Question, questions
from servers import BENCH, Server, running, upstream

from kindcache.config.load import default_path

MARKS = ("<!-- priority: begin -->", "<!-- priority: end -->")
STEPS = (0, 3, 5, 10)
STORED = 1_000
BUSY = 2  # processes beside it
CLIENTS = 8  # that miss
PAUSE_S = 0.001  # of the client that hits: it must not be what fills the machine
START = """
import sys
import kindcache.cache.giving_way as giving_way
giving_way.give_way.__defaults__ = ({steps},)
from kindcache.adapters.cli import main
sys.exit(main())
"""
POLICY = "\njudge: {scorer: shipped}\n"
HEAD = (
    "| steps | hit beside misses, p50 ms | p90 ms | misses/s | miss beside others, p50 | p90 |",
    "| ---: | ---: | ---: | ---: | ---: | ---: |",
)
Percentiles = tuple[float, float]  # p50 and p90, ms


@dataclass(slots=True)
class Row:
    """A proxy whose models give way by so many steps, and what was measured."""

    steps: int
    server: Server
    new: Iterator[Question]
    asked: int = STORED
    hits: list[Percentiles] = field(default_factory=list)  # by round
    rates: list[float] = field(default_factory=list)
    misses: list[Percentiles] = field(default_factory=list)

    def cells(self) -> str:
        """Return the row of the table."""
        hits, misses = (_medians(each) for each in (self.hits, self.misses))
        return f"| {self.steps} | {hits} | {median(self.rates):,.0f} | {misses} |"


def _medians(rounds: Sequence[Percentiles]) -> str:
    return " | ".join(f"{median(column):.2f}" for column in zip(*rounds, strict=True))


@contextmanager
def proxies(root: Path, model: Server) -> Iterator[list[Row]]:
    """Start a proxy for each number of steps, each with the same questions stored."""
    drawn = questions(1)
    requests = [question.request() for question in drawn[:STORED]]
    policy = default_path().read_text(encoding="utf-8")
    policy = policy.replace("anonymous: bypass", "anonymous: share") + POLICY
    target = f"http://127.0.0.1:{model.port}/v1"
    with ExitStack() as stack:
        rows = []
        for steps in STEPS:
            folder = root / str(steps)
            folder.mkdir()
            (folder / "policies.yaml").write_text(policy, encoding="utf-8")
            command = [sys.executable, "-c", START.format(steps=steps), "serve"]
            command += ["--config", "policies.yaml", "--upstream", target]
            server = stack.enter_context(running(command, folder, "/readyz"))
            uvloop.run(load(server.port, requests))
            rows.append(Row(steps, server, iter(drawn[STORED:])))
        yield rows


async def ask(port: int, requests: Iterator[bytes], seconds: float, pause_s: float) -> Percentiles:
    """Ask for ``seconds``, one after the other."""
    connection = await connect(port)
    found: list[Response] = []
    until_s = time.perf_counter() + seconds
    try:
        while time.perf_counter() < until_s:
            found.append(await connection.ask(next(requests)))
            await asyncio.sleep(pause_s)
    finally:
        connection.close()
    times = np.percentile([each.total_s * 1e3 for each in found], (50, 90))
    return float(times[0]), float(times[1])


def hit(row: Row, seconds: float) -> None:
    """Ask what is stored while others miss."""
    stored = itertools.cycle([question.request() for question in questions(1)[:50]])
    command = [sys.executable, str(BENCH / "beside_misses.py"), "--port", str(row.server.port)]
    command += ["--clients", str(CLIENTS), "--skip", str(row.asked), "--seed", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        row.hits.append(uvloop.run(ask(row.server.port, stored, seconds, PAUSE_S)))
        child.stdin.close()
        _, asked, wall_s = map(float, child.stdout.readline().split())
    row.rates.append(asked / wall_s)
    row.asked += int(asked) + CLIENTS
    for _ in range(int(asked) + CLIENTS):
        next(row.new)


def miss(row: Row, seconds: float) -> None:
    """Ask what is new while others compute."""
    endless = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(endless) for _ in range(BUSY)]

    def new() -> Iterator[bytes]:
        for question in row.new:
            row.asked += 1
            yield question.request()

    try:
        row.misses.append(uvloop.run(ask(row.server.port, new(), seconds, 0.0)))
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how far models should give way.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--into", type=Path, help="file whose marked section is replaced")
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="kindcache-bench-") as name:
        root = Path(name)
        with upstream(root, 0.0) as model, proxies(root, model) as rows:
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
                for row in rows:
                    hit(row, options.seconds)
                for row in rows:
                    miss(row, options.seconds)
    lines = [
        *(f"- {line}" for line in about),
        f"- Medians over rounds: {options.rounds}, {options.seconds:g} s each",
        "",
        *HEAD,
        *(row.cells() for row in rows),
    ]
    print("\n".join(lines))
    if options.into is not None:
        marked.replace(options.into, MARKS, "\n".join(lines))


if __name__ == "__main__":
    main()
