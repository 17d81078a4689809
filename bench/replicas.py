"""Kill, restart and stop everything around several replicas, and see that no answer is wrong.

    python bench/replicas.py --requests 3000                              # to see that it works
    python bench/replicas.py --into docs/operations.md                    # 50,000 requests
    python bench/replicas.py --volatile                                   # Redis forgets all

Real processes: replicas (``kindcache serve``), a redis-server, and this one, which is the model
and the clients. Callers of two scopes ask by Zipf's law, in two wordings, a tenth of it as
streams; a client whose connection breaks because its replica was killed asks another one.
Meanwhile replicas are killed (SIGKILL) and started again, Redis is paused (SIGSTOP), stopped and
killed, and entries are invalidated by category, tag, pattern and id. In the end all is quiet, and
each replica's index is compared with what Redis has.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import marked
import numpy as np
import uvicorn
import uvloop
from load_client import Connection, Response, connect
from overhead_table import machine
from replicas_table import MARKS, Outcome, report
from replicas_truth import SCOPES, TAGS, TOPICS, WORDINGS, Answer, Checked, Invalidation, Model
from replicas_truth import Question as Asked
from replicas_world import ADMIN, ENVIRON, Redis, Replica, free_port

from kindcache.adapters.registry import make_store
from kindcache.cache.entries.entry import decode_record
from kindcache.cache.errors import StoreError
from kindcache.cache.ports import Store
from kindcache.cache.replication.digest import Digest, digest
from kindcache.config.load import loads

KEEP_ALIVE_S = 75  # the model's; with 5 s, one that is paused may send on what was just closed
LAG_S = 1.0  # what docs/http.md promises
ANSWER_LIMIT_S = 20.0
ZIPF = 0.8
STREAMED = 0.1
QUIET_LIMIT_S = 30.0
WHOLE_AFTER = 0.95  # of the requests: then nothing more is broken
SPREAD = 50  # answers of which it is measured when another replica has them
TRIES = 20  # of one request, each on a replica that lives, until one does not die meanwhile
FAULTS = (
    "kill a replica",
    "pause redis",
    "stop redis",
    "kill a replica",
    "kill redis",
    "pause a replica",
)
POLICY = """
store: {{url: "{url}", namespace: replicas{lag}}}
embedder: {{runtime: {embedder}}}
judge: {{scorer: none}}
defaults: {{similarity_threshold: 0.85, ttl: 1h}}
categories:
  news: {{match: {{pattern: "news"}}}}
  recipe: {{match: {{pattern: "recipe"}}}}
  manual: {{match: {{pattern: "manual"}}}}
"""


@dataclass(slots=True, eq=False)
class Trial:
    """The clients, those who invalidate, and what breaks things."""

    options: argparse.Namespace
    replicas: list[Replica]
    redis: Redis
    model: Model
    http: aiohttp.ClientSession
    checked: Checked = field(default_factory=lambda: Checked(LAG_S))
    counts: Counter[str] = field(default_factory=Counter)
    times_s: list[float] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)  # ids that hits named lately
    spread_s: list[float] = field(default_factory=list)
    random: Random = field(init=False)
    over: bool = False

    def __post_init__(self) -> None:
        self.random = Random(self.options.seed)

    async def run(self) -> float:
        """Ask everything; return how many seconds that took. Then all live, and nobody asks."""
        requests = self._requests()
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as around:
            around.create_task(self._break())
            around.create_task(self._invalidate())
            async with asyncio.TaskGroup() as clients:
                for _ in range(self.options.clients):
                    clients.create_task(self._client(requests))
            self.over = True
        return time.monotonic() - began_s

    async def spread(self) -> None:
        """Measure how long after an answer another replica has it for other words."""
        first, other = [await connect(replica.port) for replica in self.replicas[:2]]
        for number in range(SPREAD):
            question = Asked(SCOPES[0], TOPICS[0], self.options.questions + number)
            await first.ask(question.request(WORDINGS[0]))
            told_s, asked_s = time.monotonic(), time.monotonic()
            reworded = question.request(WORDINGS[1], cached=True)
            while (await other.ask(reworded)).header("x-cache-reason") != "semantic":
                if (asked_s := time.monotonic()) - told_s > ANSWER_LIMIT_S:
                    break
            self.spread_s.append(asked_s - told_s)
        for connection in (first, other):
            connection.close()

    def _requests(self) -> Iterator[tuple[Asked, bytes]]:
        questions = [
            Asked(scope, TOPICS[number % len(TOPICS)], number)
            for number in range(self.options.questions)
            for scope in SCOPES
        ]
        self.random.shuffle(questions)
        weights = 1.0 / np.arange(1, len(questions) + 1) ** ZIPF
        ends = (np.cumsum(weights) / weights.sum()).tolist()
        end_s = time.monotonic() + 60 * self.options.minutes
        for _ in range(self.options.requests):
            if time.monotonic() > end_s:
                return
            (question,) = self.random.choices(questions, cum_weights=ends)
            stream = self.random.random() < STREAMED
            yield question, question.request(self.random.choice(WORDINGS), stream=stream)

    async def _client(self, requests: Iterator[tuple[Asked, bytes]]) -> None:
        open_: dict[tuple[int, int], Connection] = {}
        for question, request in requests:
            await self._answered(open_, question, request)
            await asyncio.sleep(self.options.think_ms / 1e3)
        for connection in open_.values():
            connection.close()

    async def _answered(
        self, open_: dict[tuple[int, int], Connection], question: Asked, request: bytes
    ) -> None:
        self.counts["requests"] += 1
        for _ in range(TRIES):
            replica = await self._any_live()
            process, sent_s = replica.pid, time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    at = (replica.port, process)
                    if at not in open_:
                        open_[at] = await connect(replica.port)
                    sent_s = time.monotonic()
                    response = await open_[at].ask(request)
            except OSError as exc:  # TimeoutError is one
                open_.pop(at, None)
                if isinstance(exc, TimeoutError) or not replica.died_since(sent_s):
                    self._failed(f"{type(exc).__name__}: {exc}")
                    return
                self.counts["in a killed process"] += 1
            else:
                self._take(question, response, sent_s, process)
                return
        self._failed("no replica lived for long enough")

    async def _any_live(self) -> Replica:
        while not (live := [one for one in self.replicas if one.live]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return self.random.choice(live)

    def _take(self, question: Asked, response: Response, sent_s: float, process: int) -> None:
        answer = Answer.read(response.body)
        if response.status != 200 or answer is None:
            self._failed(f"status {response.status}: {response.body[:200]!r}")
            return
        self.times_s.append(response.total_s)
        hit = response.header("x-cache") == "HIT"
        reason = response.header("x-cache-reason")
        self.counts[reason if hit else "misses"] += 1
        self.counts[f"miss: {reason}"] += not hit
        entry = response.header("x-cache-entry") if hit else ""
        if hit:
            self.entries = [*self.entries[-20:], entry]
        self.checked.check(question, answer, entry, sent_s, process)

    def _failed(self, what: str) -> None:
        self.counts["failed"] += 1
        if self.counts["failed"] <= 10:
            say(f"failed: {what}")

    async def _invalidate(self) -> None:
        """Invalidate something after every so many requests."""
        due = self.options.invalidate_every
        while not self.over:
            if self.counts["requests"] < due:
                await asyncio.sleep(0.01)
                continue
            due += self.options.invalidate_every
            await self._invalidate_one(self._selector())

    def _selector(self) -> Mapping[str, Any]:
        number = self.random.randrange(self.options.questions)
        kinds: list[Mapping[str, Any]] = [
            {"tag": f"shelf-{self.random.randrange(TAGS)}"},
            {"pattern": rf"number \d*{number % 100}\b"},
            {"category": self.random.choice(TOPICS)},
        ]
        if self.entries:
            kinds += 2 * [{"entry": self.random.choice(self.entries)}]
        return self.random.choice(kinds)

    async def _invalidate_one(self, selector: Mapping[str, Any]) -> None:
        """Ask for it, of another replica each time, until one has said that it is done."""
        while not self.over:
            replica, stamp = await self._any_live(), self.model.stamp
            url, process = f"http://127.0.0.1:{replica.port}/_cache/invalidate", replica.pid
            try:
                async with self.http.post(url, json=selector, headers=ADMIN) as answer:
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError):
                status = 0
            if status == 200:
                done = Invalidation(selector, stamp, time.monotonic(), process)
                self.checked.invalidations.append(done)
                self.counts["invalidations"] += 1
                return
            self.counts["invalidations that had to be asked again"] += 1
            await asyncio.sleep(0.2)

    async def _break(self) -> None:
        """Break one thing after another, until the requests are over; then mend everything."""
        plan, faults = Random(self.options.seed), Random(self.options.seed + 1)
        restarts: list[asyncio.Task[None]] = []
        due = 0.0
        while not self._near_the_end():
            for fault in plan.sample(self.options.faults, len(self.options.faults)):
                due += plan.uniform(0.5, 1.5) * self.options.fault_every
                await self._until(due, time.monotonic() + self.options.gap_s)
                if self._near_the_end():
                    break
                live = [one for one in self.replicas if one.live]
                if "replica" in fault and len(live) < 2:
                    continue
                self.counts[fault] += 1
                if fault == "kill a replica":
                    chosen = faults.choice(live)
                    await chosen.kill()
                    restarts.append(asyncio.create_task(self._restart(chosen, faults)))
                elif fault == "pause a replica":
                    await self._pause(faults.choice(live), faults)
                else:
                    await self._break_redis(fault, faults.uniform(0.3, 3.0))
        await asyncio.gather(*restarts)

    async def _until(self, requests: float, moment_s: float) -> None:
        while not self._near_the_end() and (  # noqa: ASYNC110
            self.counts["requests"] < requests or time.monotonic() < moment_s
        ):
            await asyncio.sleep(0.01)

    def _near_the_end(self) -> bool:
        return self.over or self.counts["requests"] > WHOLE_AFTER * self.options.requests

    async def _restart(self, replica: Replica, faults: Random) -> None:
        await asyncio.sleep(faults.uniform(0.0, 1.0))
        await replica.start()

    async def _pause(self, replica: Replica, faults: Random) -> None:
        """Invalidate what a replica has in memory while it is paused, and ask it for that."""
        question = Asked(faults.choice(SCOPES), TOPICS[0], self.options.questions + SPREAD)
        request = question.request(WORDINGS[0])
        connection = await connect(replica.port)
        await connection.ask(request)
        replica.live = False  # who balances asks others
        replica.send(signal.SIGSTOP)
        await self._invalidate_one({"tag": question.tag})
        await asyncio.sleep(self.checked.lag_s + 0.05)
        sent_s = time.monotonic()
        asking = asyncio.create_task(connection.ask(request))
        await asyncio.sleep(0.05)
        replica.send(signal.SIGCONT)
        replica.live = True
        self._take(question, await asking, sent_s, replica.pid)
        connection.close()

    async def _break_redis(self, fault: str, away_s: float) -> None:
        if fault == "pause redis":
            self.redis.send(signal.SIGSTOP)
            await asyncio.sleep(away_s)
            self.redis.send(signal.SIGCONT)
        else:
            await self.redis.end(signal.SIGTERM if fault == "stop redis" else signal.SIGKILL)
            await asyncio.sleep(away_s)
            await self.redis.start()

    async def settled(self, store: Store) -> tuple[float, Digest, list[Digest]]:
        """Wait until all replicas hold what the store has; return after how many seconds."""
        began_s = time.monotonic()
        while True:
            at_s = time.monotonic() - began_s
            held = [await self._digest(replica) for replica in self.replicas]
            try:
                truth = await _truth(store)
            except StoreError:
                truth = Digest(-1, "")
            if all(one == truth for one in held) or at_s > QUIET_LIMIT_S:
                return at_s, truth, held
            await asyncio.sleep(0.05)

    async def _digest(self, replica: Replica) -> Digest:
        url = f"http://127.0.0.1:{replica.port}/_cache/digest"
        async with self.http.get(url, headers=ADMIN) as answer:
            return Digest(**await answer.json())


async def _truth(store: Store) -> Digest:
    return digest([(key, decode_record(data)) async for key, data in store.records()])


def say(line: str) -> None:
    """Print progress, apart from the table."""
    print(line, file=sys.stderr, flush=True)


async def trial(options: argparse.Namespace, folder: Path) -> Outcome:
    """Start everything, ask everything, compare."""
    model, redis = Model(), Redis(folder, keeps=not options.volatile)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            model,
            port=port,
            log_level="error",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_S,
        )
    )
    config = folder / "policies.yaml"
    lag = f", max_lag: {options.max_lag}" if options.max_lag else ""
    text = POLICY.format(url=redis.url, embedder=options.embedder, lag=lag)
    config.write_text(text, encoding="utf-8")
    upstream = f"http://127.0.0.1:{port}/v1"
    names = [f"replica-{number}" for number in range(options.replicas)]
    replicas = [Replica(name, config, upstream) for name in names]
    async with AsyncExitStack() as stack:
        serving = asyncio.create_task(server.serve())
        http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_LIMIT_S))
        await stack.enter_async_context(http)
        try:
            await redis.start()
            await asyncio.gather(*(replica.start() for replica in replicas))
            say(f"{len(replicas)} replicas run")
            asking = Trial(options, replicas, redis, model, http)
            await asking.spread()
            asked_s = await asking.run()
            store = make_store(loads(text, "policies.yaml").store, time.time, ENVIRON)
            await store.open()
            stack.push_async_callback(store.aclose)
            quiet_s, truth, held = await asking.settled(store)
        finally:
            await asyncio.gather(*(replica.kill() for replica in replicas))
            redis.send(signal.SIGCONT)
            await redis.end()
            server.should_exit = True
            await serving
    return Outcome(
        counts=asking.counts,
        checked=asking.checked,
        asked_s=asked_s,
        times_s=asking.times_s,
        spread_s=asking.spread_s,
        ready_s=[one for replica in replicas for one in replica.ready_s],
        quiet_s=quiet_s,
        truth=truth,
        held=held,
    )


def main() -> int:
    """Try, and say whether anything was wrong; the exit status is 1 if it was."""
    parser = argparse.ArgumentParser(description="Break replicas and Redis under load.")
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--minutes", type=float, default=8.0, help="then no more is asked")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--think-ms", type=float, default=15.0, help="between two requests")
    parser.add_argument("--gap-s", type=float, default=1.0, help="between two faults, at least")
    parser.add_argument("--questions", type=int, default=1_500, help="of each scope")
    parser.add_argument("--fault-every", type=int, default=900, help="requests")
    parser.add_argument("--faults", nargs="+", choices=sorted({*FAULTS}), default=list(FAULTS))
    parser.add_argument("--invalidate-every", type=int, default=600, help="requests")
    parser.add_argument("--volatile", action="store_true", help="Redis keeps nothing on disk")
    parser.add_argument("--max-lag", default="1s", help="store.max_lag; empty: not set")
    parser.add_argument("--embedder", choices=("hashing", "onnx-int8"), default="hashing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path, help="file whose marked section is replaced")
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="kindcache-replicas-") as name:
        outcome = uvloop.run(trial(options, Path(name)))
    about += [f"Command: python {Path(__file__).name} {' '.join(sys.argv[1:])}"]
    lines, passed = report(outcome, about, volatile=options.volatile)
    print("\n".join(lines))
    if options.into is not None:
        marked.replace(options.into, MARKS, "\n".join(lines))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
