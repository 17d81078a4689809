"""One invalidation: which entries, and how it is kept in a ledger of the store.

An invalidation is a counter named ``<id>@<expiry>|<selector as JSON>``, with the id in hexadecimal
and the expiry in Unix seconds; a generation is one named ``all:<nonce>``. Amounts say nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from ...policies.selecting import Condition, Facts, Selector, condition
from ..ports import Vector

LEDGER = "invalidated"
ID_BYTES = 8
GENERATION = "all:"

_selectors = msgspec.json.Decoder(Selector)
_encoder = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Invalidation:
    """What a selector names, unless its question was asked by who knew of ``id``."""

    id: bytes
    expires_s: float
    condition: Condition

    @property
    def selector(self) -> Selector:
        """Return which entries it names."""
        return self.condition.selector

    @property
    def name(self) -> str:
        """Return the counter that keeps it in the ledger."""
        text = _encoder.encode(self.selector).decode()
        return f"{self.id.hex()}@{int(self.expires_s)}|{text}"

    def covers(self, facts: Facts, after: Iterable[bytes]) -> bool | None:
        """Say whether the entry is gone; None = only vectors can tell."""
        return False if self.id in after else self.condition.holds(facts)

    def outdoes(self, other: Invalidation) -> bool:
        """Say whether whatever ``other`` names, this one does too."""
        mine, theirs = self.selector, other.selector
        if mine.apart_from_age != theirs.apart_from_age:
            return False
        return not mine.created_before_s or 0 < theirs.created_before_s <= mine.created_before_s


@dataclass(frozen=True, slots=True)
class Told:
    """An invalidation as the ledger has it."""

    id: bytes
    expires_s: float
    selector: Selector


def new(selector: Selector, vector: Vector | None, expires_s: float) -> Invalidation:
    """Make an invalidation of what is there now. Raises ``ValueError`` for a bad pattern."""
    return Invalidation(secrets.token_bytes(ID_BYTES), expires_s, condition(selector, vector))


def parsed(name: str) -> Told | None:
    """Read a counter's name; None for a generation, or for what is none of ours.

    A selector that this version cannot read names everything: cold, never wrong.
    """
    head, bar, text = name.partition("|")
    known, at, expires = head.partition("@")
    if not (bar and at):
        return None
    try:
        found = Told(bytes.fromhex(known), float(int(expires)), Selector())
    except ValueError:
        return None
    try:
        return replace(found, selector=_selectors.decode(text))
    except msgspec.DecodeError:
        return found
