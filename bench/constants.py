"""Measure what a request and an entry cost, for sizing: processor, memory, Redis, network.

    python bench/constants.py            # about two minutes; writes bench/constants.json

A real proxy (``kindcache serve``, shipped scorer) on a private redis-server, a simulated model that
answers at once, questions of about 10 tokens. Processor times are those of the proxy's process and
of redis-server, from the operating system, so that what else the machine does counts little.
``bench/sizing.py`` and ``bench/fleet.py`` read the file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import psutil
import uvloop
from load_client import load
from overhead_table import machine
from questions import OTHERS, Question, questions
from redis import Redis
from servers import Server, running, settle, upstream
from store_filling import tier

WHERE = Path(__file__).with_name("constants.json")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
CLIENTS = 8
EXACT, SEMANTIC = 8_000, 1_500
COUNTED_LEAST = 0.85
IDLE_S = 3.0
SECRET = {"KINDCACHE_SECRET": "a secret of this measurement alone"}
POLICY = """
store: {{url: "redis://127.0.0.1:{port}/0"}}
capacity: {{entries: 100000}}
categories:
  support: {{match: {{path: "*"}}, ttl: 1d}}
"""
# Misses that cost little, so that many are stored in a second, as in a fleet: changes come in lots.
CHEAP = f"""{POLICY.replace("/0", "/1")}
embedder: {{{{runtime: hashing, dimensions: 384}}}}
judge: {{{{scorer: none}}}}
defaults: {{{{similarity_threshold: 0.999}}}}
"""

Figures = dict[str, float]
Start = Callable[[], AbstractContextManager[Server]]


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """Run a private redis-server; yield its port."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("needs redis-server: apt-get install redis-server")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()


class Measured:
    """Processor times, traffic and memory between two moments."""

    def __init__(self, proxy: Server, redis_port: int) -> None:
        self._process = psutil.Process(proxy.process.pid)
        self._port = proxy.port
        self._redis_port = redis_port
        self.idle: Figures = {}  # used in a second without requests

    def rest(self) -> None:
        """Find out what is used while nobody asks."""
        before = self.now()
        time.sleep(IDLE_S)
        after = self.now()
        self.idle = {name: (after[name] - before[name]) / IDLE_S for name in after}

    def asking(self, requests: Sequence[bytes], wanted: str) -> Figures:
        """Send ``requests``; return what each one cost that was what is wanted."""
        before, began_s = self.now(), time.monotonic()
        responses = uvloop.run(load(self._port, requests, CLIENTS)).responses
        time.sleep(1.0)  # queued writes, and what others make of them, belong to their requests
        after, took_s = self.now(), time.monotonic() - began_s
        counted = sum(tier(response) == wanted for response in responses)
        if counted < COUNTED_LEAST * len(responses):
            raise SystemExit(f"only {counted} of {len(responses)} were {wanted}")
        return {
            name: (after[name] - before[name] - self.idle[name] * took_s) / len(responses)
            for name in after
        }

    def now(self) -> Figures:
        """Return what has been used up to now."""
        with Redis(port=self._redis_port) as redis:
            info = redis.info()
        return {
            "cpu_us": self.cpu_us(),
            "redis_cpu_us": (info["used_cpu_sys"] + info["used_cpu_user"]) * 1e6,
            "redis_in_bytes": float(info["total_net_input_bytes"]),
            "redis_out_bytes": float(info["total_net_output_bytes"]),
            "redis_memory_bytes": float(info["used_memory"]),
        }

    def record_bytes(self, db: int) -> float:
        """Return the mean size of the index records in a database of Redis."""
        with Redis(port=self._redis_port, db=db) as redis:
            names = itertools.islice(redis.scan_iter("kindcache:x:*", count=1_000), 1_000)
            return float(mean(redis.strlen(name) for name in names))

    def cpu_us(self) -> float:
        """Return the processor time of the proxy up to now."""
        times = self._process.cpu_times()
        return float(times.user + times.system) * 1e6

    def resident_bytes(self) -> int:
        """Return the memory of the proxy."""
        return int(self._process.memory_info().rss)


def measure(start: Start, redis_port: int, count: int, seed: int) -> dict[str, Any]:
    """Measure misses that are stored, then hits: to the letter, and in other words."""
    drawn = questions(seed)[:count]
    with start() as proxy:
        settle(proxy)
        one = Measured(proxy, redis_port)
        base_bytes = one.resident_bytes()
        one.rest()
        miss = one.asking(requests_of(drawn), "miss")
        settle(proxy)
        again = requests_of(drawn[:500])
        exact = one.asking([*itertools.islice(itertools.cycle(again), EXACT)], "exact")
        semantic = one.asking(requests_of(drawn[-SEMANTIC:], OTHERS[0]), "semantic")
    return {
        "base_bytes": base_bytes,
        "redis_entry_bytes": round(miss["redis_memory_bytes"]),
        "record_bytes": round(one.record_bytes(0)),
        "exact": rounded(exact),
        "semantic": rounded(semantic),
        "miss": rounded(miss),
    }


def measure_following(start: Start, redis_port: int, count: int, seed: int) -> dict[str, Any]:
    """Measure what it takes a second replica to take in what a first one stores."""
    drawn = questions(seed)[: 2 * count]
    with start() as proxy:
        one = Measured(proxy, redis_port)
        settle(proxy)
        one.rest()
        alone = one.asking(requests_of(drawn[:count]), "miss")
        with start() as second:
            settle(second)
            other = Measured(second, redis_port)
            one.rest()
            other.rest()
            before_us, began_s = other.cpu_us(), time.monotonic()
            followed = one.asking(requests_of(drawn[count:]), "miss")
            took_s = time.monotonic() - began_s
            sparse_bytes = one.record_bytes(1)
            follow_us = (other.cpu_us() - before_us - other.idle["cpu_us"] * took_s) / count
    return {
        "follow_us": round(follow_us, 1),
        # Without the record, whose vector is sparse here, and so smaller than a real one.
        "line_bytes": round(followed["redis_out_bytes"] - alone["redis_out_bytes"] - sparse_bytes),
        "followed_per_s": round(count / took_s),
    }


def rounded(figures: Figures) -> Figures:
    """Leave out memory, digits that mean nothing, and what is less than at rest."""
    kept = {key: value for key, value in figures.items() if "memory" not in key}
    return {key: max(0.0, round(value, 1)) for key, value in kept.items()}


def requests_of(asked: Iterable[Question], wording: str = "") -> list[bytes]:
    """Return the requests that ask ``asked``."""
    return [each.request(wording) if wording else each.request() for each in asked]


def entry_bytes(page: Path = PAGE) -> dict[str, list[int]]:
    """Read bytes of an entry from the page's table: all in, and more while a graph is built.

    Of its largest size, text and what guards read of it included. By ``vectors``.
    """
    section = page.read_text(encoding="utf-8").partition("<!-- index: begin -->")[2]
    rows = [
        line.strip("| \n").split(" | ")
        for line in section.splitlines()
        if "float" in line or "int8" in line
    ]
    found: dict[str, list[int]] = {}
    for row in (row for row in rows if len(row) == 11):
        text = sum(int(part.replace(",", "")) for part in row[9].split(", "))
        plain, building = (int(row[place].replace(",", "")) + text for place in (8, 10))
        found[row[1]] = [plain, building]  # sizes rise: the last one stays
    return found


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description="Measure what a request and an entry cost.")
    parser.add_argument("--entries", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=WHERE)
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="kindcache-constants-") as name:
        folder = Path(name)
        with redis_server(folder) as port, upstream(folder, 0.0) as model:
            found: dict[str, Any] = {}
            for what, policy in ((measure, POLICY), (measure_following, CHEAP)):
                config = folder / f"{what.__name__}.yaml"
                config.write_text(policy.format(port=port), encoding="utf-8")
                command = [str(Path(sys.executable).with_name("kindcache")), "serve", "--config"]
                command += [str(config), "--upstream", f"http://127.0.0.1:{model.port}/v1"]
                start = partial(running, command, folder, "/readyz", environ=SECRET)
                found |= what(start, port, options.entries, options.seed)
    found = {
        "measured": f"{about[0]}; Python {platform.python_version()}; {options.entries:,} entries",
        "entry_bytes": entry_bytes(),
        **found,
    }
    text = json.dumps(found, indent=2) + "\n"
    options.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
