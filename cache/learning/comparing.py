"""Learns from fresh answers whether stored ones would have fitted: after the caller has got his.

A miss that names a candidate was a would-be hit (``mode: shadow``), or one that the judge was not
sure enough about. Once the model has answered it, the two answers are compared in the background.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ...policies.comparable import comparable
from ...policies.observation import Observation, Source
from ...policies.tally import bin_of, first_edge
from ...policies.verdict import Miss, Reason, certainty
from ..background import Background
from ..engine import Engine
from ..entries.entry import Answer, Payload, decode_payload
from ..errors import CorruptRecord, JudgeError, StoreError
from ..events import Failed, NotCompared
from ..outcome import Lead
from ..ports import AnswerJudge, EntryKey
from ..settling import Ruling

# Below it nothing is compared: no bar will ever be that low. An edge of the evidence's bins, so
# that every bin above it is seen in full.
LEAST_BIN = first_edge(0.25)
MOST_CHARS = 64 << 10  # of an answer: what waits for its turn is kept in memory


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers to be compared, and what they will tell about."""

    category: str
    probability: float
    source: Source
    question: str
    stored: str
    fresh: str


@dataclass(frozen=True, slots=True)
class Comparing:
    """Compares what misses brought. ``affordable`` says whether comparing can be paid for now."""

    engine: Engine
    queue: Background
    affordable: Callable[[], bool]

    def after_miss(self, lead: Lead, ruling: Ruling, judge: AnswerJudge) -> None:
        """Queue the comparison that a settled miss allows, if it allows one."""
        miss, call = lead.miss, lead.ask.call
        if ruling.payload is None or not _is_watched(miss) or miss.key == lead.ask.key:
            return
        if not comparable(call, self.engine.policy[miss.category]):
            return
        fresh = sole_text(ruling.payload.answer)
        if fresh is None:
            self._not("unclear", miss)
        elif not self.affordable():
            self._not("unpaid", miss)
        elif not self.queue.offer(partial(self._compare, miss, call.prompt, fresh, judge)):
            self._not("dropped", miss)

    async def _compare(self, miss: Miss, question: str, fresh: str, judge: AnswerJudge) -> None:
        stored = await self._stored(miss)
        if stored is None:
            self._not("gone", miss)
            return
        text = sole_text(stored.answer)
        if text is None:
            self._not("unclear", miss)
            return
        found = Comparison(
            miss.category, certainty(miss), Source.SHADOW, question, stored=text, fresh=fresh
        )
        await compare(self.engine, judge, found)

    async def _stored(self, miss: Miss) -> Payload | None:
        assert miss.key is not None
        key = EntryKey(miss.key)
        payload = self.engine.memory.hot.get(key)
        if payload is not None:
            return payload
        try:
            data = await self.engine.store.get(key)
            return None if data is None else decode_payload(data)
        except (StoreError, CorruptRecord) as exc:
            self.engine.observer.notify(Failed("compare", type(exc).__name__))
            return None

    def _not(self, why: str, miss: Miss) -> None:
        self.engine.observer.notify(NotCompared(miss.category, Source.SHADOW, why))


async def compare(engine: Engine, judge: AnswerJudge, found: Comparison) -> bool | None:
    """Compare two answers and note what that tells; None when it tells nothing."""
    try:
        same = await judge.same(found.question, found.stored, found.fresh)
    except JudgeError as exc:
        engine.observer.notify(Failed("compare", type(exc.__cause__ or exc).__name__))
        engine.observer.notify(NotCompared(found.category, found.source, "failed"))
        return None
    if same is None:
        engine.observer.notify(NotCompared(found.category, found.source, "unclear"))
        return None
    served = found.source is Source.CHECK
    engine.evidence.note(Observation(found.category, found.probability, same, found.source, served))
    return same


def sole_text(answer: Answer) -> str | None:
    """Return the text of an answer that is one text and nothing else, and not too long."""
    if len(answer.choices) != 1 or answer.has_tool_calls:
        return None
    text = answer.choices[0].text
    return text if text and len(text) <= MOST_CHARS else None


def _is_watched(miss: Miss) -> bool:
    if miss.key is None:
        return False
    return miss.reason is Reason.SHADOW or bin_of(certainty(miss)) >= LEAST_BIN
