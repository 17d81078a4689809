"""Keeps answers that look planted to their own prompts: nobody gets them in other words.

Runs when an answer is stored, after the caller has it. What can be said at once is; what needs
further vectors is said in the background, and until then, or if it fails, only the same prompt to
the letter finds the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from ..policies.collision import NEAR, Part, collides, is_noise, parts
from ..policies.policy import Policy
from ..policies.steering import overrides
from ..policies.verdict import Admit, Reason
from .asking.fingerprint import Ask
from .background import Background
from .entries.entry import Payload
from .entries.memory import Memory
from .errors import EmbedderError
from .events import Failed, KeptApart, Observer
from .ports import Embedder, EntryKey, Vector
from .removing.entry_facts import of_payload
from .removing.invalidated import Invalidated

LOOKED_AT = 5  # stored prompts that a new one might answer for: as many as a lookup proposes


class Near(NamedTuple):
    """A stored prompt near to a new one."""

    key: EntryKey
    prompt: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Screening:
    """Takes answers in, with or without the vector that lets them be found by meaning."""

    policy: Policy
    memory: Memory
    embedder: Embedder
    observer: Observer
    queue: Background
    invalidated: Invalidated | None = None  # None: nothing is

    def admit(
        self, ask: Ask, payload: Payload, vector: Vector | None, verdict: Admit
    ) -> Reason | None:
        """Take in an answer and queue its write, or return why it was not taken in."""
        if vector is None or not self.policy[payload.category].poisoning_check:
            return self.memory.admit(ask, payload, vector, verdict)
        turns = () if ask.history is None else ask.history.turns
        if any(overrides(text) for text in (payload.prompt, *turns)):
            return self._apart(ask, payload, verdict, Reason.STEERING)
        near = self._near(ask, payload, vector)
        stored = [one.prompt for one in near]
        if near and is_noise(payload.prompt, stored):
            return self._apart(ask, payload, verdict, Reason.COLLISION)
        pieces = parts(payload.prompt, stored) if near else ()
        if not pieces:
            return self.memory.admit(ask, payload, vector, verdict)
        refused = self.memory.admit(ask, payload, None, verdict)
        if refused is not None:
            return refused
        job = partial(self._look_closer, ask, payload, vector, verdict, pieces, near)
        if not self.queue.offer(job):
            self.observer.notify(KeptApart(payload.category, Reason.BACKLOG))
        return None

    async def drain(self) -> None:
        """Wait until everything taken in so far is where it will be found."""
        await self.queue.drain()

    def _near(self, ask: Ask, payload: Payload, vector: Vector) -> Sequence[Near]:
        reach = self.policy.reach(payload.category)
        found = self.memory.table.near(reach, ask.partition, vector, LOOKED_AT, ask.history)
        return [
            Near(one.key, one.prompt, one.similarity)
            for one in found
            if one.similarity >= NEAR and one.key != ask.key
        ]

    def _apart(self, ask: Ask, payload: Payload, verdict: Admit, reason: Reason) -> Reason | None:
        refused = self.memory.admit(ask, payload, None, verdict)
        if refused is None:
            self.observer.notify(KeptApart(payload.category, reason))
        return refused

    async def _look_closer(
        self,
        ask: Ask,
        payload: Payload,
        vector: Vector,
        verdict: Admit,
        pieces: Sequence[Part],
        near: Sequence[Near],
    ) -> None:
        try:
            if await self._collides(ask, payload, pieces, near):
                self.observer.notify(KeptApart(payload.category, Reason.COLLISION))
                return
        except EmbedderError as exc:
            self.observer.notify(Failed("screen", type(exc).__name__))
            self.observer.notify(KeptApart(payload.category, Reason.EMBEDDER))
            return
        entry = self.memory.table.get(ask.key)
        # What was purged or replaced meanwhile must not come back.
        if entry is not None and entry.created_s == payload.created_s:
            if self._covered(ask, payload, vector):
                self.memory.remove([ask.key], "invalidated")
            else:
                self.memory.admit(ask, payload, vector, verdict)

    def _covered(self, ask: Ask, payload: Payload, vector: Vector) -> bool:
        if self.invalidated is None or not self.invalidated.in_force:
            return False
        facts = replace(of_payload(ask.key, payload), vector=vector)
        return self.invalidated.in_force.covers(facts, payload.after) is not False

    async def _collides(
        self, ask: Ask, payload: Payload, pieces: Sequence[Part], near: Sequence[Near]
    ) -> bool:
        whole = {bytes(one.key): one.similarity for one in near}
        reach = self.policy.reach(payload.category)
        for piece in pieces:
            vector = await self.embedder.embed(piece.text)
            if vector is None:
                continue
            found = self.memory.table.near(reach, ask.partition, vector, LOOKED_AT, ask.history)
            alone = {bytes(one.key): one.similarity for one in found}
            if collides(piece, whole, alone):
                return True
        return False
