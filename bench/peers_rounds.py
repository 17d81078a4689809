"""The rows of the comparison: what is asked of a running peer, and what counts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from load_client import Load, Response, alternate, load
from peers_prompts import request
from peers_servers import Peer
from peers_table import Place, Results, Row, Timing, timing
from peers_workshop import PeerError
from servers import Server

# Requests of a row in a round: with one client, with many.
EXACT = (400, 1_500)
SEMANTIC = (150, 320)
STREAMS = 60
MISSES = (60, 96)
STREAM_MISSES = 40
EQUAL = 100
REPEATED = 60  # prompts whose answers the exact rows ask for, again and again
EQUAL_LATENCY_MS = 300
LIMIT_S = 2.0  # of a row's time in a round; a slow peer is asked fewer requests
HITS = {"exact", "semantic", "hit"}


@dataclass(frozen=True, slots=True)
class Model:
    """The simulated model."""

    port: int
    latency_ms: float

    async def calls(self) -> int:
        """Return how many calls it has answered."""
        return int((await self._get("/calls")).body)

    async def slow(self, latency_ms: float) -> None:
        """Set its latency."""
        await self._get(f"/latency/{latency_ms}")

    async def _get(self, path: str) -> Response:
        asked = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
        return (await load(self.port, [asked])).responses[0]


@dataclass(frozen=True, slots=True)
class Running:
    """A peer at work, and the prompts that it has not seen."""

    peer: Peer
    server: Server
    size: int
    repeated: Sequence[str]
    reworded: Iterator[str]
    unlike: Iterator[str]
    model: Model
    clients: int
    results: Results

    async def exact(self) -> None:
        """Ask what it has answered before, word for word."""
        asked = [request(prompt) for prompt in self.repeated]
        await load(self.server.port, asked)
        wanted = {"exact", "hit"}
        for count, clients in zip(EXACT, (1, self.clients), strict=True):
            requests = itertools.islice(itertools.cycle(asked), count)
            await self._hits(Row.EXACT, requests, clients, wanted)

    async def semantic(self) -> None:
        """Ask stored questions in words that are new to it."""
        for count, clients in zip(SEMANTIC, (1, self.clients), strict=True):
            requests = [request(prompt) for prompt in itertools.islice(self.reworded, count)]
            await self._hits(Row.SEMANTIC, requests, clients, {"semantic", "hit"})

    async def stream(self) -> None:
        """Ask for answers it has as streams."""
        asked = [request(prompt, stream=True) for prompt in self.repeated[:STREAMS]]
        await load(self.server.port, asked)
        before = await self.model.calls()
        done = await load(self.server.port, _limited(asked))
        hits = self._counted(done, HITS, await self.model.calls() - before)
        for row, times in (
            (Row.STREAM_FIRST, [each.first_byte_s for each in hits]),
            (Row.STREAM_WHOLE, [each.total_s for each in hits]),
        ):
            self._time(row, 1, timing(times, len(done.responses), 0.0, 0.0))

    async def miss(self) -> None:
        """Ask what it cannot know, in turn with the upstream itself; then with many clients."""
        ports = (self.model.port, self.server.port)
        for row, count, stream in (
            (Row.MISS, MISSES[0], False),
            (Row.STREAM_MISS, STREAM_MISSES, True),
        ):
            pairs = await alternate(ports, self._new(count, stream=stream))
            counted = [(a, b) for a, b in pairs if self.peer.tier(b) == "miss"]
            times = [b.total_s - a.total_s for a, b in counted]
            if stream:
                times = [b.first_byte_s - a.first_byte_s for a, b in counted]
            self._time(row, 1, timing(times, len(pairs), 0.0, 0.0))
        used_s = cpu_s(self.server)
        done = await load(self.server.port, _limited(self._new(MISSES[1])), self.clients)
        used_s = cpu_s(self.server) - used_s
        asked = len(done.responses)
        times = [each.total_s for each in done.responses if self.peer.tier(each) == "miss"]
        self._time(Row.MISSES, self.clients, timing(times, asked, done.wall_s, used_s))

    async def flight(self) -> None:
        """Ask the same new prompt many times at once, while the upstream is slow."""
        await self.model.slow(EQUAL_LATENCY_MS)
        for row, stream in ((Row.FLIGHT, False), (Row.STREAM_FLIGHT, True)):
            before = await self.model.calls()
            done = await load(self.server.port, self._new(1, stream=stream) * EQUAL, EQUAL)
            if any(each.status != 200 for each in done.responses):
                raise PeerError(f"{row}: not all were answered")
            calls = await self.model.calls() - before
            self.results.value(Place(self.size, self.peer.name, row), calls)
        await self.model.slow(self.model.latency_ms)

    async def _hits(
        self, row: Row, requests: Iterable[bytes], clients: int, wanted: set[str]
    ) -> None:
        before, used_s = await self.model.calls(), cpu_s(self.server)
        done = await load(self.server.port, _limited(requests), clients)
        used_s = cpu_s(self.server) - used_s
        hits = self._counted(done, wanted, await self.model.calls() - before)
        times = [each.total_s for each in hits]
        self._time(row, clients, timing(times, len(done.responses), done.wall_s, used_s))

    def _counted(self, done: Load, wanted: set[str], calls: int) -> list[Response]:
        """Return the answers that are what is ``wanted``, if the upstream's count agrees."""
        tiers = [self.peer.tier(each) for each in done.responses]
        if sum(tier in HITS for tier in tiers) > len(tiers) - calls:
            raise PeerError("calls answers hits for which it asked the upstream")
        return [each for each, tier in zip(done.responses, tiers, strict=True) if tier in wanted]

    def _new(self, count: int, *, stream: bool = False) -> list[bytes]:
        prompts = list(itertools.islice(self.unlike, count))
        if len(prompts) < count:
            raise PeerError("there are no new prompts left: fewer rounds, please")
        return [request(prompt, stream=stream) for prompt in prompts]

    def _time(self, row: Row, clients: int, measured: Timing) -> None:
        self.results.time(Place(self.size, self.peer.name, row, clients), measured)


ROWS: dict[str, tuple[Callable[[Running], Coroutine[Any, Any, None]], Callable[[Peer], bool]]] = {
    "exact": (Running.exact, lambda peer: peer.caches),
    "semantic": (Running.semantic, lambda peer: peer.semantic),
    "stream": (Running.stream, lambda peer: peer.caches),
    "miss": (Running.miss, lambda _: True),
    "flight": (Running.flight, lambda _: True),
}


def cpu_s(server: Server) -> float:
    """Return the CPU seconds that the server and its children have used."""
    return sum(
        times.user + times.system
        for times in (process.cpu_times() for process in _processes(server))
    )


def resident_bytes(server: Server) -> int:
    """Return the memory that the server and its children hold."""
    return sum(process.memory_info().rss for process in _processes(server))


def _limited(requests: Iterable[bytes]) -> Iterator[bytes]:
    end_s = time.perf_counter() + LIMIT_S
    for each in requests:
        yield each
        if time.perf_counter() > end_s:
            return


def _processes(server: Server) -> list[psutil.Process]:
    process = psutil.Process(server.process.pid)
    return [process, *process.children(recursive=True)]
