"""What is known to be wrong: pairs of prompts that need two answers, and answers as such.

A pair is kept by the wording of both prompts, so that another question mark or capital letter does
not bring the wrong answer back, and in no order: what does not fit one way does not fit the other.
It holds in one partition only, hence in one scope.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from typing import NewType

from ..asking.fingerprint import Ask
from ..asking.normal_form import nfc
from ..asking.scope import digest
from ..entries.neighbour import Neighbour
from ..ports import Clock, EntryKey, PartitionKey, Store
from .notices import Notices

LIMIT = 20_000  # of either kind: about 10 MB

Wording = NewType("Wording", bytes)  # 16 bytes
Pair = NewType("Pair", bytes)  # 32 bytes: two wordings, the smaller one first

_GAPS = re.compile(r"\W+")


def wording(partition: PartitionKey, prompt: str) -> Wording:
    """Return a digest of the words of ``prompt``, blind to case, punctuation and white space."""
    words = _GAPS.sub(" ", nfc(prompt).casefold()).strip()
    return Wording(digest(partition, (words or prompt).encode("utf-8", "surrogatepass")))


def pair(ask: Ask, stored: str) -> Pair:
    """Return the pair of what is asked and the prompt ``stored``, whose answer it may get."""
    return _joined(
        wording(ask.partition, ask.call.prompt),
        wording(ask.partition, stored),
    )


class Blocked:
    """Stops wrong answers: here at once, elsewhere and after a restart through the store.

    A block lasts ``life_s``, or as long as the entry if that is longer.
    """

    def __init__(self, clock: Clock, life_s: float) -> None:
        self._clock = clock
        self._life_s = life_s
        self._pairs = Notices("blocked", clock, LIMIT)
        self._answers = Notices("withdrawn", clock, LIMIT)  # the figure: when it was created
        self._worded: set[Wording] = set()  # either half of each pair

    def __len__(self) -> int:
        return len(self._pairs) + len(self._answers)

    def add(self, pair: Pair, entry_expires_s: float = 0.0) -> bool:
        """Block ``pair``; False when it already is, or when there are too many."""
        added = self._pairs.add(pair, self._until(entry_expires_s))
        if added:
            self._worded.update(_halves(pair))
        return added

    def withdraw(self, key: EntryKey, created_s: float, entry_expires_s: float = 0.0) -> bool:
        """Block the answer under ``key`` that was created at ``created_s``, and older ones.

        False when it already is, or when there are too many. A newer answer is not stopped.
        """
        return self._answers.add(key, self._until(entry_expires_s), created_s)

    def knows(self, pair: Pair) -> bool:
        """Say whether ``pair`` is blocked."""
        return self._pairs.get(pair) is not None

    def watches(self, key: EntryKey) -> bool:
        """Say whether some answer under ``key`` was withdrawn."""
        return self._answers.get(key) is not None

    def withdrawn(self, key: EntryKey, created_s: float) -> bool:
        """Say whether the answer under ``key`` must not be given to anyone."""
        if not self._answers:
            return False
        until_s = self._answers.get(key)
        return until_s is not None and created_s <= until_s

    def stops(self, ask: Ask, key: EntryKey, stored: str, created_s: float) -> bool:
        """Say whether the entry ``key``, of the prompt ``stored``, must not answer ``ask``."""
        if self.withdrawn(key, created_s):
            return True
        return bool(self._worded) and self.knows(pair(ask, stored))

    def without(self, ask: Ask, near: Sequence[Neighbour]) -> Sequence[Neighbour]:
        """Return ``near`` less the entries that must not answer ``ask``."""
        if self._answers:
            near = [one for one in near if not self.withdrawn(one.key, one.created_s)]
        if not self._worded:
            return near
        mine = wording(ask.partition, ask.call.prompt)
        if mine not in self._worded:
            return near
        return [
            one for one in near if not self.knows(_joined(mine, wording(ask.partition, one.prompt)))
        ]

    async def send(self, store: Store) -> None:
        """Tell ``store`` what is new. Raises ``StoreError``; the next call tells it then."""
        await self._pairs.send(store)
        await self._answers.send(store)

    async def read(self, store: Store) -> None:
        """Take in what others told ``store``, and drop what has expired. Raises ``StoreError``."""
        await self._pairs.read(store)
        self._worded = {half for both in self._pairs for half in _halves(Pair(both))}
        await self._answers.read(store)

    async def forget(
        self, store: Store, keys: Collection[EntryKey], wordings: AbstractSet[bytes]
    ) -> None:
        """Forget what was said of the entries ``keys``, whose prompts were worded so.

        Raises ``StoreError``.
        """
        await self._pairs.forget(store, lambda both: not wordings.isdisjoint(_halves(Pair(both))))
        self._worded = {half for both in self._pairs for half in _halves(Pair(both))}
        await self._answers.forget(store, keys.__contains__)

    def _until(self, entry_expires_s: float) -> float:
        return max(entry_expires_s, self._clock() + self._life_s)


def _joined(one: Wording, other: Wording) -> Pair:
    return Pair(one + other if one <= other else other + one)


def _halves(pair: Pair) -> tuple[Wording, Wording]:
    return Wording(pair[:16]), Wording(pair[16:])
