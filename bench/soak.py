"""Hold a real proxy at constant load past its capacity, and see whether anything grows.

    python bench/soak.py --minutes 3                                    # to see that it works
    python bench/soak.py --csv soak.csv --into docs/performance.md      # an hour

One process each: the proxy (``kindcache serve``), a simulated model, and this client, which sends
``--rate`` requests a second whatever happens to earlier ones. Questions are drawn by Zipf's law
from many more than the proxy may hold, each in one of three wordings, a fifth of them as streams:
exact hits, semantic hits, misses and evictions go on all the time. First the cache is filled; then
memory, tasks, files, entries and hits are noted every few seconds. What is looked at is the time
after the first quarter.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import marked
import numpy as np
import psutil
import uvloop
from load_client import Connection, Response, connect
from overhead_table import machine
from questions import FIRST, OTHERS, Question, questions
from servers import Server, running, upstream
from soak_table import MARKS, Sample, as_csv, report

LATENCY_MS = 50.0  # of the simulated model: answers overlap, as they do in life
WORDINGS = (FIRST, FIRST, FIRST, *OTHERS)
STREAMED = 0.2
ZIPF = 0.9  # over 17,000 questions: some popular ones, and a long tail that never ends
CONNECTIONS = 64
ANSWER_LIMIT_S = 30.0
POLICY = """
store: {{url: "sqlite:///kindcache.db", hot_payloads: 4MiB}}
scope: {{anonymous: share}}
capacity: {{entries: {entries}, size: 64MiB}}
embedder: {{memo: 2000}}
judge: {{scorer: {scorer}}}
defaults: {{ttl: 1h, ttl_jitter: 20%}}
"""


@dataclass(slots=True)
class Counted:
    """What became of the requests since the last sample."""

    asked: int = 0
    hits: int = 0
    failed: int = 0
    late: int = 0  # found no free connection
    times_s: list[float] = field(default_factory=list)

    def add(self, response: Response) -> None:
        """Count one answer."""
        self.asked += 1
        self.failed += response.status != 200
        self.hits += response.header("x-cache") == "HIT"
        self.times_s.append(response.total_s)


def drawn(seed: int) -> Iterator[bytes]:
    """Return requests without end, by Zipf's law over all questions."""
    pool = questions(seed)
    generator = np.random.default_rng(seed)
    random = Random(seed)
    weights = 1.0 / np.arange(1, len(pool) + 1) ** ZIPF
    ends = np.cumsum(weights / weights.sum())
    while True:
        for number in np.searchsorted(ends, generator.random(4096)):
            asked: Question = pool[min(int(number), len(pool) - 1)]
            stream = random.random() < STREAMED
            yield asked.request(random.choice(WORDINGS), stream=stream)


class Soak:
    """Sends at a steady rate, and notes every few seconds how the proxy is."""

    def __init__(self, proxy: Server, folder: Path, options: argparse.Namespace) -> None:
        self._proxy = proxy
        self._folder = folder
        self._options = options
        self._process = psutil.Process(proxy.process.pid)
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        self._counted = Counted()
        self.samples: list[Sample] = []
        self.filled_s = 0.0

    async def run(self) -> None:
        """Fill the cache, then hold the load for the time asked for."""
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await connect(self._proxy.port))
        sending = asyncio.create_task(self._send())
        noting = asyncio.create_task(self._note())
        ended, _ = await asyncio.wait((sending, noting), return_when=asyncio.FIRST_COMPLETED)
        for task in {sending, noting} - ended:
            task.cancel()
        await asyncio.gather(sending, noting, return_exceptions=True)
        while not self._free.empty():
            self._free.get_nowait().close()
        for task in ended:
            task.result()  # whatever ended it early

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        async with asyncio.TaskGroup() as under_way:
            for number, request in enumerate(drawn(self._options.seed)):
                due_s = started_s + number / self._options.rate
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                self._counted.late += self._free.empty()
                connection = await self._free.get()
                under_way.create_task(self._ask(connection, request))

    async def _ask(self, connection: Connection, request: bytes) -> None:
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                self._counted.add(await connection.ask(request))
        except (TimeoutError, ConnectionError):
            self._counted.failed += 1
            connection.close()
            connection = await connect(self._proxy.port)
        self._free.put_nowait(connection)

    async def _note(self) -> None:
        options, loop = self._options, asyncio.get_running_loop()
        started_s = loop.time()
        while (await self._sample(0.0)).entries < options.entries:
            if loop.time() - started_s > options.fill_limit_s:
                raise SystemExit(f"not full after {options.fill_limit_s:g} s")
            await asyncio.sleep(1.0)
        full_s = loop.time()
        self.filled_s = full_s - started_s
        say(f"full after {self.filled_s:.0f} s; {options.minutes:g} minutes begin")
        while (at_s := loop.time() - full_s) < options.minutes * 60:
            await asyncio.sleep(options.every_s)
            self.samples.append(await self._sample(at_s + options.every_s))
            if len(self.samples) % 12 == 0:
                say(f"{self.samples[-1]}")

    async def _sample(self, at_s: float) -> Sample:
        counted, self._counted = self._counted, Counted()
        return await asyncio.to_thread(
            sample, self._process, self._proxy.port, self._folder, at_s, counted
        )


def sample(
    process: psutil.Process, port: int, folder: Path, at_s: float, counted: Counted
) -> Sample:
    """Look at the process, its metrics and its store's files."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    figures = [line.rpartition(" ") for line in lines if not line.startswith("#")]

    def added(name: str) -> int:
        return int(sum(float(value) for key, _, value in figures if key.partition("{")[0] == name))

    times_s = counted.times_s or [0.0]
    return Sample(
        at_s=at_s,
        resident_bytes=process.memory_info().rss,
        files=len(list(Path(f"/proc/{process.pid}/fd").iterdir())),
        threads=process.num_threads(),
        store_bytes=sum(path.stat().st_size for path in folder.glob("kindcache.db*")),
        tasks=added("kindcache_tasks"),
        entries=added("kindcache_entries"),
        evicted=added("kindcache_evicted_total"),
        asked=counted.asked,
        hits=counted.hits,
        failed=counted.failed,
        late=counted.late,
        p50_ms=float(np.percentile(times_s, 50)) * 1e3,
        p99_ms=float(np.percentile(times_s, 99)) * 1e3,
    )


def say(line: str) -> None:
    """Print progress, apart from the table."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Soak, and say whether anything grew; the exit status is 1 if it did."""
    parser = argparse.ArgumentParser(description="Hold a proxy at constant load.")
    parser.add_argument("--minutes", type=float, default=60.0, help="after the cache is full")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--entries", type=int, default=2_000, help="that the proxy may hold")
    parser.add_argument("--every-s", type=float, default=5.0, help="between two samples")
    parser.add_argument("--fill-limit-s", type=float, default=900.0)
    parser.add_argument("--scorer", choices=("shipped", "none"), default="shipped")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path, help="file for all samples")
    parser.add_argument("--into", type=Path, help="file whose marked section is replaced")
    options = parser.parse_args()
    started_s = time.perf_counter()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="kindcache-soak-") as name:
        folder = Path(name)
        policy = POLICY.format(entries=options.entries, scorer=options.scorer)
        (folder / "policies.yaml").write_text(policy, encoding="utf-8")
        command = [str(Path(sys.executable).with_name("kindcache")), "serve"]
        command += ["--config", str(folder / "policies.yaml"), "--upstream"]
        with upstream(folder, LATENCY_MS) as model:
            target = f"http://127.0.0.1:{model.port}/v1"
            with running([*command, target], folder, "/readyz") as proxy:
                soak = Soak(proxy, folder, options)
                uvloop.run(soak.run())
    if options.csv is not None:
        options.csv.write_text(as_csv(soak.samples), encoding="utf-8")
    about += [
        (
            f"Command: python {Path(__file__).name} --minutes {options.minutes:g}"
            f" --rate {options.rate:g} --entries {options.entries} --scorer {options.scorer}"
        ),
        f"Room for {options.entries:,} entries, full after {soak.filled_s:.0f} s",
        f"Seed {options.seed}",
        f"{options.rate:g} requests/s wanted; the model takes {LATENCY_MS:g} ms",
        f"Took {time.perf_counter() - started_s:.0f} s",
    ]
    lines, passed = report(soak.samples, about)
    print("\n".join(lines))
    if options.into is not None:
        marked.replace(options.into, MARKS, "\n".join(lines))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
