"""Measure how long a restart takes until hits by meaning are there, and what a snapshot costs.

    python bench/restart.py                                # 100,000 entries, about two minutes
    python bench/restart.py --entries 10000 --rounds 3
    python bench/restart.py --into docs/performance.md     # writes the marked section

A store is filled with records of made vectors (384 dimensions, one partition, so that all are in
one graph; ``index_vectors.py``), an engine loads them, builds its graph and takes a snapshot. Then
each start is a process of its own: from the snapshot, from SQLite's records, from those of a Redis
server that is started for it, where there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import marked
import numpy as np
import psutil
import yaml
from overhead_table import machine

from kindcache.adapters.build import Service, build
from kindcache.cache.entries.entry import IndexRecord, encode
from kindcache.cache.errors import EmbedderError
from kindcache.cache.ports import EntryKey, Matrix, PartitionKey, Store, Vector
from kindcache.config.load import loads

MARKS = ("<!-- restart: begin -->", "<!-- restart: end -->")
DIM = 384
PLACE = PartitionKey(b"a partition here")
ENVIRON = {"KINDCACHE_SECRET": "a secret that only benchmarks use"}
AT_ONCE = 200  # writes under way
HEADS = (
    "start from",
    "entries",
    "warm after s",
    "of it imports s",
    "processor s",
    "memory MiB",
    "at most",
)
WANTED_S = {"snapshot": 3.0, "redis records": 30.0}


class Made:
    """An embedder that has nothing to do."""

    identity = "made vectors"
    dim = DIM

    async def embed(self, text: str) -> Vector | None:
        """Refuse ``text``."""
        raise EmbedderError(f"{len(text)} characters")

    async def open(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Start:
    """How one start went. Times in seconds from the beginning of the process."""

    how: str
    imported_s: float
    loaded_s: float
    processor_s: float
    found: bool
    entries: int
    memory_mib: float
    most_mib: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What a snapshot costs."""

    took_s: float
    pause_ms: float
    quiet_ms: float  # the longest pause as long before
    size_mib: float
    graph_s: float


def vectors(count: int) -> Matrix:
    """Draw unit vectors around common topics."""
    dice = np.random.default_rng(1)
    topics = dice.standard_normal((max(8, count // 50), DIM), dtype=np.float32)
    rows = topics[dice.integers(0, len(topics), count)]
    rows = rows + dice.standard_normal((count, DIM), dtype=np.float32)
    made: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made


def service(folder: Path, url: str, *, snapshot: bool) -> Service:
    """Return a cache over the store at ``url`` that embeds nothing."""
    settings = {
        "store": {"url": url, "namespace": "restart", "write_deadline": "60s"},
        "judge": {"scorer": "none"},
        "capacity": {"entries": 2_000_000},
    }
    if snapshot:
        settings["snapshot"] = {"path": str(folder / "kc.snapshot")}

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise NotImplementedError

    text = yaml.safe_dump(settings)
    made = loads(text, "restart.yaml")
    return build(made, app, upstream="bench", environ=ENVIRON, embedder=Made())


async def fill(store: Store, rows: Matrix) -> None:
    """Put an entry for each of ``rows`` into ``store``."""
    now_s = time.time()
    for start in range(0, len(rows), AT_ONCE):
        puts = []
        for at in range(start, min(start + AT_ONCE, len(rows))):
            record = IndexRecord(
                partition=PLACE,
                category="default",
                prompt=f"How do I do the thing that is called number {at}?",
                created_s=now_s,
                expires_s=now_s + 86_400.0,
                size_bytes=400,
                embedder=Made.identity,
                vector=rows[at].astype("<f2").tobytes(),
            )
            key = EntryKey(at.to_bytes(16, "big"))
            puts.append(store.put(key, b"-", encode(record), 86_400.0))
        await asyncio.gather(*puts)


async def take(folder: Path, url: str) -> Taken:
    """Load what is stored, build the graph, take a snapshot while a clock ticks."""
    made = service(folder, url, snapshot=True)
    lifecycle, engine = made.lifecycle, made.engine
    await lifecycle.prepare()
    await lifecycle.load()
    began = time.perf_counter()
    for index in engine.memory.table.indexes():
        while (due := index.next_build()) is not None:
            await asyncio.to_thread(due.run)
            index.finish_build(due)
    graph_s = time.perf_counter() - began
    snapshots = lifecycle.snapshots
    assert snapshots is not None
    quiet_ms, _ = await _longest_pause(asyncio.sleep(1.0))
    pause_ms, took_s = await _longest_pause(snapshots.take())
    size_mib = (folder / "kc.snapshot").stat().st_size / 2**20
    await lifecycle.aclose()
    return Taken(took_s, pause_ms, quiet_ms, size_mib, graph_s)


async def _longest_pause(work: Any) -> tuple[float, float]:
    """Await ``work``; return the longest pause of the loop in ms, and how long it took in s."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before - 0.001)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    longest, began = 0.0, time.perf_counter()
    await work
    took_s = time.perf_counter() - began
    ticking.cancel()
    return 1e3 * longest, took_s


async def start(folder: Path, url: str, how: str) -> Start:
    """Start as a restart does, until a hit by meaning is found."""
    began_s = psutil.Process().create_time()
    imported_s = time.time() - began_s
    made = service(folder, url, snapshot=how == "snapshot")
    await made.lifecycle.prepare()
    await made.lifecycle.load()
    table = made.engine.memory.table
    asked = np.load(folder / "asked.npy")
    near = table.neighbours(["default"], PLACE, asked, 1)
    loaded_s = time.time() - began_s
    found = bool(near) and near[0][1] > 0.99
    spent = psutil.Process().cpu_times()
    held_mib = psutil.Process().memory_info().rss / 2**20
    return Start(
        how,
        imported_s,
        loaded_s,
        spent.user + spent.system,
        found,
        len(table),
        held_mib,
        _most_mib(),
    )


def _most_mib() -> float:
    """Return the most memory this process ever had; ``getrusage`` tells of its parent too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def started(folder: Path, url: str, how: str) -> Start:
    """Make one start in a process of its own."""
    command = [sys.executable, __file__, "--start", how, "--url", url, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return Start(**json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def redis(folder: Path) -> Iterator[str | None]:
    """Run a Redis server that keeps nothing; None where there is no program."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with socket.socket() as link:
                if link.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


async def filled(folder: Path, url: str, rows: Matrix) -> None:
    """Fill the store at ``url``."""
    made = service(folder, url, snapshot=False)
    store = made.engine.store
    await store.open()
    await fill(store, rows)
    await store.aclose()


def measure(folder: Path, entries: int, rounds: int) -> tuple[Taken, list[Start]]:
    """Measure all, starts in turn."""
    rows = vectors(entries)
    np.save(folder / "asked.npy", rows[entries // 2])
    file = f"sqlite:///{folder / 'kc.db'}"
    with redis(folder) as server:
        asyncio.run(filled(folder, file, rows))
        if server:
            asyncio.run(filled(folder, server, rows))
        taken = asyncio.run(take(folder, file))
        ways = [("snapshot", file), ("sqlite records", file)]
        ways += [("redis records", server)] if server else []
        starts = [started(folder, url, how) for _ in range(rounds) for how, url in ways]
    return taken, starts


def lines(taken: Taken, starts: Sequence[Start], about: Sequence[str]) -> list[str]:
    """Return the report."""
    told = [*(f"- {line}" for line in about), ""]
    told += [f"| {' | '.join(HEADS)} |", f"| --- |{' ---: |' * (len(HEADS) - 1)}"]
    for how in dict.fromkeys(one.how for one in starts):
        some = [one for one in starts if one.how == how]
        cells = [
            how,
            f"{some[0].entries:,}" + ("" if all(one.found for one in some) else " NOT FOUND"),
            f"{median(one.loaded_s for one in some):.2f}",
            f"{median(one.imported_s for one in some):.2f}",
            f"{median(one.processor_s for one in some):.2f}",
            f"{median(one.memory_mib for one in some):,.0f}",
            f"{median(one.most_mib for one in some):,.0f}",
        ]
        told.append(f"| {' | '.join(cells)} |")
    told += ["", f"- From records, building the graph then takes {taken.graph_s:.0f} s more, in a"]
    told[-1] += " thread; until then a search scans all rows."
    told.append(
        f"- A snapshot: {taken.size_mib:,.0f} MiB, written in {taken.took_s:.1f} s by a copy of the"
        f" process. The loop stood still for {taken.pause_ms:.0f} ms at most, and for"
        f" {taken.quiet_ms:.0f} ms in the second before."
    )
    for how, wanted_s in WANTED_S.items():
        times = [one.loaded_s for one in starts if one.how == how]
        if times:
            met = "yes" if median(times) <= wanted_s else "NO"
            told.append(f"- Reached: {met}: {how}, {median(times):.2f} s, wanted {wanted_s:g} s")
    return told


def main() -> None:
    """Run."""
    began = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--into", type=Path, metavar="PAGE", help="write the marked section there")
    parser.add_argument("--start", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start:
        done = asyncio.run(start(options.folder, options.url, options.start))
        print(json.dumps(asdict(done)))
        return
    about = machine(("kindcache", "hnswlib", "numpy", "redis"))
    about.append(f"Command: python {' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])}")
    with TemporaryDirectory() as folder:
        taken, starts = measure(Path(folder), options.entries, options.rounds)
    about.append(f"Starts of each kind, in turn: {options.rounds}; medians")
    about.append(f"Took {time.perf_counter() - began:.0f} s")
    body = "\n".join(lines(taken, starts, about))
    print(body)
    if options.into:
        marked.replace(options.into, MARKS, body)


if __name__ == "__main__":
    main()
