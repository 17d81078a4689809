"""Counts facts in the store, where all processes that share it add up.

What is new here is sent with a count of what this process has sent so far. Who does not hear
whether a delivery arrived reads that count, and knows: nothing is lost, and nothing counts twice.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..ports import Store
from .fact import Fact, day_of, decode, encode

NAME = "evidence"
MOST_WAITING = 20_000  # different facts; about 4 MB while the store is away
_DELIVERY = "sent"


@dataclass(frozen=True, slots=True)
class _Delivery:
    """Amounts on their way; ``number`` is the value of the counter ``receipt`` once they arrive."""

    amounts: Counter[str]
    receipt: str
    number: int


@dataclass(slots=True)
class Ledger:
    """``instrument`` names what gives the probabilities; it is asked once, when first needed.

    ``learn`` is told of every fact and how often more it was counted (less, where negative): those
    added here at once, those of other processes when they are read. Days that pass out of the
    window are not taken back: who learns forgets them by itself.
    """

    store: Store
    instrument: Callable[[], str]
    learn: Callable[[Fact, int], None]
    process: str = field(default_factory=lambda: secrets.token_hex(6))
    has_read: bool = False
    _known: str = ""
    _kept: Mapping[str, int] = field(default_factory=dict)  # in the store, as last heard, by name
    _new: Counter[Fact] = field(default_factory=Counter)
    _receipt: tuple[str, int] = ("", 0)  # the last one of this process
    _open: _Delivery | None = None  # sent, and not known to have arrived
    _exchange: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def waiting(self) -> bool:
        """Say whether the store lacks something."""
        return bool(self._new) or self._open is not None

    def add(self, fact: Fact) -> bool:
        """Count ``fact`` once more; False when too much waits for the store."""
        if len(self._new) >= MOST_WAITING and fact not in self._new:
            return False
        self._new[fact] += 1
        self.learn(fact, 1)
        return True

    async def read(self, first_day: int) -> None:
        """Take in what all processes know. Raises ``StoreError``.

        Days before ``first_day`` are left out, and their counters dropped.
        """
        async with self._exchange:
            await self._read(first_day)

    async def send(self, first_day: int, today: int) -> None:
        """Send what is new, after reading where that is needed.

        Raises ``StoreError``; what was to be sent is kept then.
        """
        async with self._exchange:
            if self._open is not None or not self.has_read:
                await self._read(first_day)
            if self._new:
                await self._send(today)

    async def _read(self, first_day: int) -> None:
        self._known = self._known or self.instrument()
        counts = await self.store.counts(NAME)
        before = self._settled(counts)
        self._kept, self.has_read = counts, True
        changed = {name for name, _ in before.items() ^ counts.items()}
        for name in changed:
            fact = decode(self._known, name)
            if fact is not None and fact.day >= first_day:
                self.learn(fact, counts.get(name, 0) - before.get(name, 0))
        self._new = Counter({fact: n for fact, n in self._new.items() if fact.day >= first_day})
        old = [name for name in counts if (day := day_of(name)) is not None and day < first_day]
        if old:
            await self.store.uncount(NAME, old)

    async def _send(self, today: int) -> None:
        name = f"{_DELIVERY}|{today}|{self.process}"
        number = self._receipt[1] + 1 if self._receipt[0] == name else 1
        amounts = Counter({encode(self._known, fact): n for fact, n in self._new.items()})
        self._open = delivery = _Delivery(amounts, name, number)
        self._new = Counter()
        await self.store.count(NAME, amounts | {name: 1})
        self._kept = _sum(self._kept, delivery)
        self._receipt, self._open = (name, number), None

    def _settled(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        """Return what is known to be in the store, once it has shown ``counts``.

        The receipt tells whether the last delivery arrived; if not, it is new again.
        """
        delivery, self._open = self._open, None
        if delivery is None:
            name, _ = self._receipt
            self._receipt = (name, counts.get(name, 0))
            return self._kept
        self._receipt = (delivery.receipt, counts.get(delivery.receipt, 0))
        if self._receipt[1] >= delivery.number:
            return _sum(self._kept, delivery)
        for name, amount in delivery.amounts.items():
            fact = decode(self._known, name)
            assert fact is not None
            self._new[fact] += amount
        return self._kept


def _sum(kept: Mapping[str, int], delivery: _Delivery) -> Mapping[str, int]:
    total = Counter(kept)
    total.update(delivery.amounts)
    total[delivery.receipt] = delivery.number
    return total
