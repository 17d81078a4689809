"""Overload a simulated model server, with fixed and with load-adaptive thresholds.

    KINDCACHE_EVALDATA=... python bench/load.py [--into docs/policies.md] [--plot docs/load.png]

Ten minutes at 60 % of what the server can do, ten at 1.2, 1.5 or 2 times as much, twenty at 60 %
again, on a virtual clock: once without a cache, then from empty caches with the shipped policies,
and with floors under load. Arrival times and token counts are those of the Azure conversation trace
of 2023, its mean rate set for each phase; the prompts are bitext_support, banking77 and clinc150,
mixed evenly, whose keys tell which hits are wrong. They are far shorter than the trace's prompts.

Lookups go through the engine as `config/default.yaml` sets it up, the load through the controller
that serves. Seeded; equal from run to run. Vectors and log-odds are kept in `--work`, under the
identity of the model that made them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from load_run import Run, Second, Told
from load_server import Done, Server, Work
from load_table import MARKS, fixed_of, page, row
from load_world import Arrival, KnownEmbedder, KnownScorer, Phase, arrivals
from marked import replace

from kindcache.adapters.build import Service, build
from kindcache.adapters.evaluation.chat import chat_call
from kindcache.cache.asking.identity import Request
from kindcache.cache.embedders.choose import choose
from kindcache.cache.entries.entry import Answer, Choice
from kindcache.cache.loads import Loads, Ongoing
from kindcache.cache.outcome import Follow, Found, Lead
from kindcache.cache.settling import Received, settle
from kindcache.cache.stores.memory import MemoryStore
from kindcache.config.category_settings import UnderLoad
from kindcache.config.load import default_path, load
from kindcache.config.settings import Settings
from kindcache.policies.load import Limits

REST, REST_S, BURST_S, AFTER_S = 0.6, 600.0, 600.0, 1200.0
OVERLOADS = (1.2, 1.5, 2.0)
FLOORS = (0.92, 0.88)
MODEL = "evaluation"  # as chat_call names it
SHOWN = "support"  # the category whose bar is drawn
BYTES_A_TOKEN = 250  # of a stream
TARGET, HEADERS = b"/v1/chat/completions?", [(b"authorization", b"Bearer load")]
ANSWER = Answer(MODEL, 0, (Choice("an answer", "stop"),))
EPOCH_S = 1_700_000_000.0


@dataclass(slots=True)
class Clock:
    """Unix time that stands still until it is moved."""

    now_s: float = 0.0

    def __call__(self) -> float:
        """Return the time now."""
        return EPOCH_S + self.now_s


class World:
    """One server, one clock, and a cache before it or none."""

    def __init__(self, run: Run, service: Service | None, clock: Clock) -> None:
        self._run = run
        self._service = service
        self._clock = clock
        self._server = Server()
        self._loads: Loads | None = None
        if service is not None:
            self._loads = Loads(Limits(), service.engine.observer, clock)
        self._calls: dict[int, tuple[Told, Work, Ongoing | None, Lead | None]] = {}
        self._joined: dict[bytes, list[Told]] = {}
        self._keys: dict[bytes, str] = {}

    async def serve(self, asked: Sequence[Arrival]) -> None:
        """Let everything arrive, then the server end what it has."""
        for arrival in asked:
            await self._until(arrival.at_s)
            await self._arrive(arrival)
        while self._calls:
            await self._until(self._clock.now_s + 1.0)

    async def _until(self, to_s: float) -> None:
        """Move on, second by second: events of the server, then a step of the controller."""
        while self._clock.now_s < to_s:
            second_s = float(int(self._clock.now_s) + 1)
            until_s = min(to_s, second_s)
            while (done := self._server.next(until_s)) is not None:
                self._clock.now_s = done.at_s
                await self._happened(done)
            self._clock.now_s = until_s
            if until_s == second_s:
                self._tick()

    def _tick(self) -> None:
        factor, bar = 0.0, 0.0
        if self._service is not None and self._loads is not None:
            policy = self._service.engine.policy
            policy.use_loads(self._loads.step())
            factor = policy.load(MODEL)
            bar = policy.bar(SHOWN, factor)
        self._run.seconds.append(Second(factor, bar, self._server.waiting))

    async def _arrive(self, arrival: Arrival) -> None:
        told = Told(arrival.at_s, "asked")
        self._run.told.append(told)
        lead: Lead | None = None
        if self._service is not None:
            engine = self._service.engine
            engine.memory.expire(self._clock())
            call = chat_call([{"role": "user", "content": arrival.query.text}])
            outcome = await engine.lookup(Request(call, TARGET, HEADERS))
            if isinstance(outcome, Found):
                told.how = "relaxed" if outcome.hit.relaxed else "hit"
                told.wrong = self._keys[outcome.hit.key] != arrival.query.key
                return
            if isinstance(outcome, Follow):
                told.how = "joined"
                self._joined.setdefault(outcome.ask.key, []).append(told)
                return
            if isinstance(outcome, Lead):
                lead = outcome
                self._keys[lead.ask.key] = arrival.query.key
        began = self._loads.began(MODEL, streamed=True) if self._loads is not None else None
        number = self._server.submit(arrival.work, self._clock.now_s)
        self._calls[number] = (told, arrival.work, began, lead)

    async def _happened(self, done: Done) -> None:
        told, work, began, lead = self._calls[done.number]
        if not done.last:
            told.first_s = done.at_s - told.at_s
            if self._loads is not None and began is not None:
                self._loads.first_token(began)
            return
        del self._calls[done.number]
        told.total_s = done.at_s - told.at_s
        if self._loads is not None and began is not None:
            self._loads.answered(began, 200, work.generated * BYTES_A_TOKEN)
        if self._service is not None and lead is not None:
            engine = self._service.engine
            settle(engine, lead, Received(ANSWER, 200, False, 100, told.first_s, told.total_s))
            await engine.screening.drain()
            for follower in self._joined.pop(lead.ask.key, []):
                follower.total_s = done.at_s - follower.at_s


async def measured(options: argparse.Namespace) -> list[Run]:
    """Run everything, with what is remembered of the models."""
    shipped = settings()
    runs: list[Run] = []
    for overload in options.overloads:
        phases = (Phase(REST_S, REST), Phase(BURST_S, overload), Phase(AFTER_S, REST))
        asked = arrivals(options.data, phases, options.seed)
        variants: list[tuple[str, Settings | None]] = [("no cache", None), ("fixed", shipped)]
        variants += [(f"floor {floor:g}", relaxing(shipped, floor)) for floor in options.floors]
        for name, how in variants:
            started = time.perf_counter()
            run, clock = Run(name, overload), Clock()
            if how is None:
                await World(run, None, clock).serve(asked)
            else:
                embedder = KnownEmbedder(choose(how.embedder, "", _say), options.work)
                service = build(
                    how,
                    _nobody,
                    upstream="load",
                    clock=clock,
                    store=MemoryStore(clock),
                    embedder=embedder,
                )
                if service.engine.decider.scorer is None:
                    raise SystemExit("the pair scorer's weights are not here")
                scorer = KnownScorer(service.engine.decider.scorer, options.work)
                service.engine.decider.scorer = scorer
                service.lifecycle.beside = ()  # the controller moves by the virtual clock
                await service.lifecycle.open()
                try:
                    await World(run, service, clock).serve(asked)
                finally:
                    await service.lifecycle.aclose()
            runs.append(run)
            _say(f"{overload}x, {name}: {len(asked)} calls, {time.perf_counter() - started:.0f} s")
            _say(row(run, fixed_of(runs, run)))
    return runs


def settings() -> Settings:
    """Return the shipped policies over a memory store; a busy machine makes no miss."""
    shipped, patience = load(default_path()), {"deadline": 60.0}
    return shipped.model_copy(
        update={
            "store": shipped.store.model_copy(update={"url": "memory://", "write_queue": 100_000}),
            "embedder": shipped.embedder.model_copy(update=patience),
            "judge": shipped.judge.model_copy(update=patience),
        }
    )


def relaxing(shipped: Settings, floor: float) -> Settings:
    """Return ``shipped`` with a floor for each category that has the bar of ``defaults``."""
    allowed = {
        name: category.model_copy(update={"under_load": UnderLoad(min_probability=floor)})
        if category.min_probability is None
        else category
        for name, category in shipped.categories.items()
    }
    return shipped.model_copy(update={"categories": allowed})


async def _nobody(*_: object) -> None:
    raise AssertionError("no model is asked")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print, and write into a page and a picture if asked; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--overloads", type=float, nargs="+", default=OVERLOADS)
    parser.add_argument("--floors", type=float, nargs="*", default=FLOORS)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "kindcache-load")
    options = parser.parse_args()
    if "KINDCACHE_EVALDATA" not in os.environ:
        raise SystemExit("set KINDCACHE_EVALDATA to the folder of the evaluation data")
    options.data = Path(os.environ["KINDCACHE_EVALDATA"])
    options.work.mkdir(parents=True, exist_ok=True)
    runs = asyncio.run(measured(options))
    text = page(runs)
    print(text)
    if options.into:
        replace(options.into, MARKS, text)
    if options.plot:
        from load_plot import draw  # noqa: PLC0415 - loads matplotlib

        draw(runs, options.plot, options.floors[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
