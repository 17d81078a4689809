"""Three processes on one store, in any order of events: nothing that was invalidated comes back.

Whole engines run, over a store whose writes arrive when the test says so, even after their process
has died, and which may lose its ledgers or everything. Beside them runs a model that knows of each
answer when and by whom it was asked, and of each invalidation when it returned and who has heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kindcache.cache.engine import Engine
from kindcache.cache.outcome import Follow, Found, Lead
from kindcache.cache.ports import EntryKey, Vector
from kindcache.cache.removing.epoch import follow_epoch
from kindcache.cache.removing.invalidating import erase, invalidate, invalidate_all
from kindcache.cache.removing.invalidation import LEDGER
from kindcache.cache.removing.subject import Subject
from kindcache.cache.removing.sweeping import sweep
from kindcache.cache.settling import release, settle
from kindcache.cache.stores.memory import MemoryStore
from kindcache.policies.facts import Directives
from kindcache.policies.selecting import Selector
from kindcache.policies.verdict import Admit
from tests.cache.small_engine import TroubledStore, received, request, small_engine
from tests.conftest import FakeClock
from tests.drivers.drawn_nonces import draw_nonces_again

PROMPTS = ("the news", "some code", "a letter")
TAGS = ("", "v1")
TEXT = """
defaults: {similarity_threshold: 1.0, ttl: 30d}
categories:
  news: {match: {pattern: news}, ttl: 30d}
  code: {match: {pattern: code}, ttl: 30d}
  letter: {match: {pattern: letter}, semantic: false}
"""
SELECTORS = (
    Selector(categories=("news",)),
    Selector(tags=("v1",)),
    Selector(pattern="^some"),
    Selector(pattern="^some", tags=("v1",)),
    Selector(like="a letter", at_least=0.97),
)


class Letters:
    """An embedder: one direction for each prompt."""

    identity = "letters"
    dim = 64

    async def embed(self, text: str) -> Vector | None:
        made = np.zeros(self.dim, dtype=np.float32)
        made[PROMPTS.index(text)] = 1.0
        return made

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(eq=False)
class Written:
    """A write that has left its process."""

    key: EntryKey
    values: tuple[Any, ...]
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class Wire(TroubledStore):
    """One process's way to the store. Writes under way arrive although the process dies."""

    def __init__(self, clock: FakeClock, inner: MemoryStore, under_way: list[Written]) -> None:
        super().__init__(clock)
        self.inner = inner
        self.under_way = under_way
        self.slow = False

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        written = Written(key, (payload, record, retention_s))
        self.under_way.append(written)
        if not self.slow:
            await arrive(self.inner, self.under_way, written)
        await written.arrived.wait()

    async def delete(self, keys: Collection[EntryKey]) -> None:
        await self.inner.delete(keys)


async def arrive(inner: MemoryStore, under_way: list[Written], written: Written) -> None:
    under_way.remove(written)
    await inner.put(written.key, *written.values)
    written.arrived.set()


@dataclass(eq=False)
class Asked:
    """A question, and what is to become of its answer."""

    process: int
    prompt: str
    tag: str
    aware: frozenset[int]  # invalidations that the process had heard of
    lead: Lead
    text: str = ""


@dataclass(eq=False)
class Process:
    engine: Engine
    wire: Wire
    heard: set[int] = field(default_factory=set)


class Protocol(RuleBasedStateMachine):
    @initialize(skew_s=st.sampled_from([0.0, -50.0, 50.0]))
    def start(self, skew_s: float) -> None:
        self.patch = pytest.MonkeyPatch()
        draw_nonces_again(self.patch)
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.skew_s = skew_s
        self.store = MemoryStore(self.clock)
        self.under_way: list[Written] = []
        self.done: list[Selector | None] = []  # by number; None = everything
        self.answers: dict[str, Asked] = {}
        self.under_question: list[Asked] = []
        self.last: dict[str, str] = {}  # the answer last stored, by prompt
        self.touched: set[str] = set()  # prompts of which something may have been lost
        self.processes = [self._born() for _ in range(3)]

    def _run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def _born(self) -> Process:
        async def born() -> Process:
            wire = Wire(self.clock, self.store, self.under_way)
            number = len(getattr(self, "processes", ()))
            clock = FakeClock(self.clock.now_s + (self.skew_s if number == 1 else 0.0))
            engine, _ = small_engine(clock, wire, Letters(), text=TEXT)
            engine.memory.writer.start()
            await follow_epoch(engine)
            return Process(engine, wire, set(range(len(self.done))))

        made: Process = self._run(born())
        return made

    @invariant()
    def nothing_comes_back(self) -> None:
        for process in getattr(self, "processes", ()):
            for prompt in PROMPTS:
                outcome = self._run(process.engine.lookup(request(prompt)))
                if isinstance(outcome, Found):
                    self._check(process, outcome.payload.answer.choices[0].text or "")
                elif isinstance(outcome, Lead):
                    release(process.engine, outcome)
                else:
                    outcome.flight.leave()

    @rule(which=st.integers(0, 2), prompt=st.sampled_from(PROMPTS), tag=st.sampled_from(TAGS))
    def ask(self, which: int, prompt: str, tag: str) -> None:
        process = self.processes[which]
        asked = request(prompt, directives=Directives(tags=(tag,) if tag else ()))
        outcome = self._run(process.engine.lookup(asked))
        if isinstance(outcome, Found):
            self._check(process, outcome.payload.answer.choices[0].text or "")
        elif isinstance(outcome, Lead):
            aware = frozenset(process.heard)
            self.under_question.append(Asked(which, prompt, tag, aware, outcome))
        else:
            assert isinstance(outcome, Follow)
            outcome.flight.leave()

    @rule(which=st.integers(0, 2), prompt=st.sampled_from(PROMPTS), tag=st.sampled_from(TAGS))
    def ask_and_answer(self, which: int, prompt: str, tag: str) -> None:
        before = len(self.under_question)
        self.ask(which, prompt, tag)
        if len(self.under_question) > before:
            self._answer(self.under_question.pop())

    def _check(self, process: Process, text: str) -> None:
        """What is served was asked by who knew of each invalidation of it that is known here."""
        answer = self.answers[text]
        for number in process.heard - answer.aware:
            assert not names(self.done[number], answer), (self.done[number], answer)

    @precondition(lambda self: self.under_question)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.under_question))
        self.under_question.remove(asked)
        self._answer(asked)

    def _answer(self, asked: Asked) -> None:
        asked.text = f"answer {len(self.answers)}"
        self.answers[asked.text] = asked
        engine = self.processes[asked.process].engine

        async def carry_out() -> bool:
            verdict = settle(engine, asked.lead, received(asked.text))
            for _ in range(20):
                await asyncio.sleep(0)
            return isinstance(verdict, Admit)

        stored = self._run(carry_out())
        named = any(names(one, asked) for one in self.done)
        if not named:
            assert stored
            self.last[asked.prompt] = asked.text

    @precondition(lambda self: self.under_question)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.under_question))
        self.under_question.remove(asked)
        release(self.processes[asked.process].engine, asked.lead)

    @rule(which=st.integers(0, 2), slow=st.booleans())
    def speed(self, which: int, slow: bool) -> None:
        self.processes[which].wire.slow = slow

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def late_write(self, data: st.DataObject) -> None:
        written = data.draw(st.sampled_from(self.under_way))
        self._run(arrive(self.store, self.under_way, written))

    @rule(which=st.integers(0, 2), selector=st.sampled_from(SELECTORS))
    def invalidates(self, which: int, selector: Selector) -> None:
        process = self.processes[which]
        process.wire.slow = False

        async def carry_out() -> None:
            await self._all_of(process)
            vector = await Letters().embed(selector.like) if selector.like else None
            await invalidate(process.engine, selector, vector)

        self._run(carry_out())
        process.heard.add(len(self.done))
        self.done.append(selector)
        self.touched.update(PROMPTS if selector.tags or selector.like else ())
        self.touched.update(prompt for prompt in PROMPTS if names(selector, prompt=prompt))

    @precondition(lambda self: len(self.done) % 4 == 1)
    @rule(which=st.integers(0, 2))
    def erases(self, which: int) -> None:
        """All who ask here are one caller."""
        process = self.processes[which]
        process.wire.slow = False

        async def carry_out() -> None:
            await self._all_of(process)
            await erase(process.engine, self._caller(process.engine))

        self._run(carry_out())
        process.heard.add(len(self.done))
        self.done.append(None)
        self.touched.update(PROMPTS)

    def _caller(self, engine: Engine) -> Subject:
        principal = engine.identity.scoping.principal([(b"authorization", b"alice")])
        assert principal is not None
        return Subject(principal)

    @precondition(lambda self: len(self.done) % 4 == 3)
    @rule(which=st.integers(0, 2))
    def invalidates_all(self, which: int) -> None:
        process = self.processes[which]
        process.wire.slow = False

        async def carry_out() -> None:
            await self._all_of(process)
            await invalidate_all(process.engine)

        self._run(carry_out())
        self.done.append(None)
        # What is asked in the new epoch comes after all that was invalidated before.
        process.heard = set(range(len(self.done)))
        self.touched.update(PROMPTS)

    async def _all_of(self, process: Process) -> None:
        """Let all writes of ``process`` arrive, which ``invalidate`` waits for."""
        writer = process.engine.memory.writer
        while writer.waiting:
            for written in list(self.under_way):
                await arrive(self.store, self.under_way, written)
            await asyncio.sleep(0)

    @precondition(lambda self: self.done)
    @rule(which=st.integers(0, 2))
    def catch_up(self, which: int) -> None:
        process = self.processes[which]
        self._run(follow_epoch(process.engine))
        process.heard = set(range(len(self.done)))

    @precondition(lambda self: self.done)
    @rule(which=st.integers(0, 2))
    def sweeps(self, which: int) -> None:
        process = self.processes[which]

        async def carry_out() -> None:
            await self._all_of(process)
            await sweep(process.engine)

        self._run(carry_out())

    @rule(which=st.integers(0, 2))
    def dies_and_is_born_again(self, which: int) -> None:
        process = self.processes[which]
        self._run(process.engine.memory.writer.aclose(0.0))
        self.under_question = [one for one in self.under_question if one.process != which]
        self.processes[which] = self._born()

    @precondition(lambda self: len(self.done) % 4 == 2)
    @rule(lost=st.sampled_from(["ledger", "everything"]))
    def the_store_loses(self, lost: str) -> None:
        self.store._counters.pop(LEDGER, None)
        if lost == "everything":
            self.store._meta.clear()
            self.store._rows.clear()
        self.touched.update(PROMPTS)

    @rule()
    def nothing_else_is_lost(self) -> None:
        """All writes arrived and all heard of all: what nobody invalidated is still answered."""
        for process in self.processes:
            process.wire.slow = False
            self._run(self._all_of(process))
            self._run(follow_epoch(process.engine))
            process.heard = set(range(len(self.done)))
        for prompt, text in self.last.items():
            if prompt in self.touched:
                continue
            for process in self.processes:
                outcome = self._run(process.engine.lookup(request(prompt)))
                assert isinstance(outcome, Found), (prompt, text)
                self._check(process, outcome.payload.answer.choices[0].text or "")

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        for process in getattr(self, "processes", ()):
            self._run(self._all_of(process))
            self._run(process.engine.memory.writer.aclose(1.0))
        self.runner.close()
        self.patch.undo()


def names(selector: Selector | None, answer: Asked | None = None, prompt: str = "") -> bool:
    """Say what a selector names, in other words than the code that is tested."""
    if selector is None:
        return True
    tag = ""
    if answer is not None:
        prompt, tag = answer.prompt, answer.tag
    found = {"": PROMPTS, "^some": ("some code",)}
    return (
        (not selector.categories or selector.categories[0] in prompt)
        and (not selector.tags or tag in selector.tags)
        and prompt in found[selector.pattern]
        and selector.like in {"", prompt}
    )


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
