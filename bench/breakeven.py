"""From which hit rate on lookups by meaning pay, for models of different speed.

    python bench/breakeven.py --into docs/policies.md     # under a minute

The shipped engine, encoder and scorer over thousands of entries in one partition, searched in
process (HNSW), with answers read from SQLite. Beside it the same with the search behind a round
trip of 5, 10 and 30 ms, which a server on this machine simulates: it reads a vector, waits, and
sends back what a search would, answers included. Misses, hits and round trips take turns. Figures
are fifth percentiles, what a stage takes when nobody else uses the machine; the median of all
stages is beside them. The paper's rows are its own figures, put into the same formula. Seeded: the
same questions in the same order; times differ from run to run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import marked
from breakeven_table import Measured, Stages, page
from questions import FIRST, OTHERS, Question, questions

from kindcache.adapters.build import Service, build
from kindcache.adapters.evaluation.chat import PATH, chat_call
from kindcache.cache.asking.identity import Request
from kindcache.cache.deciding import Decider
from kindcache.cache.engine import Engine
from kindcache.cache.entries.entry import Answer, Choice
from kindcache.cache.index.partition import PartitionIndex
from kindcache.cache.outcome import Found, Lead, Outcome
from kindcache.cache.settling import Received, release, settle
from kindcache.config.load import loads
from kindcache.policies.facts import Directives

MARKS = ("<!-- break-even: begin -->", "<!-- break-even: end -->")
SEED = 1
ENTRIES = 4_200  # a graph from 4,000 on
ROUNDS = 240
TRIP_EVERY = 4  # rounds: they vary little, and take long
ROUND_TRIPS_S = (0.005, 0.010, 0.030)
BATCH = 32
REQUEST_BYTES, ANSWER_BYTES = 384 * 4, 4096
CONFIG = """
store: {{url: "sqlite:///{folder}/breakeven.db", hot_payloads: 1B}}
defaults: {{poisoning_check: false}}
categories: {{support: {{match: {{path: "*"}}, similarity_threshold: 0.97}}}}
"""
FAR = "Which {} is {} than the {} of {}?"
FAR_WORDS = (
    "river poem galaxy mushroom treaty violin glacier enzyme cathedral comet".split(),
    "older longer rarer louder deeper".split(),
    "moon desert opera fossil senate".split(),
    "Peru Norway Chad Laos Fiji Malta Cuba Oman Togo Nepal".split(),
)


def ask(prompt: str, *, fresh: bool = False) -> Request:
    """Return the request that asks ``prompt``."""
    call = chat_call([{"role": "user", "content": prompt}])
    call = replace(call, directives=Directives(no_cache=fresh))
    return Request(call, PATH.encode() + b"?", [(b"authorization", b"Bearer bench")])


async def fill(engine: Engine, asked: Sequence[Question]) -> None:
    """Store an answer for each question."""
    answer = Answer("bench", 0, (Choice("An answer. " * 60, "stop"),))

    async def one(question: Question) -> None:
        outcome = await engine.lookup(ask(question_text(question), fresh=True))
        assert isinstance(outcome, Lead), outcome
        settle(engine, outcome, Received(answer, 200, size_bytes=700))

    for start in range(0, len(asked), BATCH):
        await asyncio.gather(*(one(question) for question in asked[start : start + BATCH]))
        await engine.memory.writer.drain()
    (index,) = engine.memory.table.indexes()
    (partition,) = index._held.values()  # noqa: SLF001 - nobody else wants to know
    assert isinstance(partition, PartitionIndex), "more entries make a graph"
    async with asyncio.timeout(30.0):
        while not partition.is_graph:  # noqa: ASYNC110 - it is built in a thread, and tells nobody
            await asyncio.sleep(0.05)


def question_text(question: Question, wording: str = FIRST) -> str:
    """Return the words of ``question``."""
    return wording.format(*question.words)


async def look_up(engine: Engine, prompt: str) -> Outcome:
    """Look ``prompt`` up and store nothing."""
    outcome = await engine.lookup(ask(prompt))
    if isinstance(outcome, Lead):
        release(engine, outcome)
    return outcome


async def measure(engine: Engine, stored: Sequence[Question], new: Sequence[Question]) -> Measured:
    """Let all kinds of lookups take turns."""
    found = Measured(trips={delay_s: [] for delay_s in ROUND_TRIPS_S})
    scored, alone = engine.decider, Decider(None, engine.observer, engine.clock)
    far = list(product(*FAR_WORDS))
    Random(SEED).shuffle(far)
    unused = iter(new)
    ports = [await stack(delay_s) for delay_s in ROUND_TRIPS_S]
    for turn in range(ROUNDS):
        engine.decider = scored
        turns = (
            (question_text(next(unused)), found.crowded, Lead),
            (question_text(stored[turn], OTHERS[0]), found.hits, Found),
            (FAR.format(*far[turn]), found.far, Lead),
        )
        for prompt, into, wanted in turns:
            await take(found, engine, prompt, into, wanted)
        engine.decider = alone
        await take(found, engine, question_text(next(unused)), found.guards, Lead)
        question = stored[-turn - 1]
        await take(found, engine, question_text(question, OTHERS[1]), found.guard_hits, Found)
        for delay_s, (reader, writer) in zip(ROUND_TRIPS_S, ports, strict=True):
            if turn % TRIP_EVERY:
                break
            started = time.perf_counter()
            writer.write(bytes(REQUEST_BYTES))
            await reader.readexactly(ANSWER_BYTES)
            found.trips[delay_s].append(time.perf_counter() - started)
    engine.decider = scored
    for _, writer in ports:
        writer.close()
    return found


async def take(
    found: Measured, engine: Engine, prompt: str, into: Stages, wanted: type[Outcome]
) -> None:
    """Look up once; count it where it ended as meant."""
    outcome = await look_up(engine, prompt)
    if isinstance(outcome, Found | Lead) and type(outcome) is wanted:
        into.take(outcome.trace)
    else:
        found.other += 1


async def stack(delay_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a server that answers ``delay_s`` after each vector."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readexactly(REQUEST_BYTES)
                await asyncio.sleep(delay_s)
                writer.write(bytes(ANSWER_BYTES))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return await asyncio.open_connection("127.0.0.1", port)


@asynccontextmanager
async def running(folder: str) -> AsyncIterator[Service]:
    """Run the cache over a database in ``folder``."""

    async def nobody(*_: object) -> None:
        raise AssertionError("no model is asked")

    environ: Mapping[str, str] = {"KINDCACHE_SECRET": "a secret for measurements"}
    settings = loads(CONFIG.format(folder=folder), "breakeven")
    service = build(settings, nobody, upstream="bench", environ=environ)
    await service.lifecycle.open()
    try:
        yield service
    finally:
        await service.lifecycle.aclose()


async def run(entries: int) -> str:
    """Fill, measure, and return the section."""
    started = time.perf_counter()
    drawn = questions(SEED)
    stored, new = drawn[:entries], drawn[entries:]
    with tempfile.TemporaryDirectory() as folder:
        async with running(folder) as service:
            await fill(service.engine, stored)
            print(f"filled: {time.perf_counter() - started:.1f} s", file=sys.stderr)
            found = await measure(service.engine, stored, new)
    return page(found, SEED, entries, time.perf_counter() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--into", type=Path, help="the page to write the section into")
    options = parser.parse_args()
    text = asyncio.run(run(options.entries))
    print(text)
    if options.into:
        marked.replace(options.into, MARKS, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
