"""One invalidation: which entries, and how it is kept in a ledger of the store.

An invalidation is a counter named ``<id>@<expiry>|<selector as JSON>``, with the id in hexadecimal
and the expiry in Unix seconds; of an erasure, a ``!`` stands in place of the bar. A generation is
one named ``all:<nonce>``. Amounts say nothing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from ...policies.selecting import PART_BYTES, Condition, Facts, Selector, condition
from ..ports import Vector

LEDGER = "invalidated"
ID_BYTES = 8
GENERATION = "all:"

_NAME = re.compile(r"([0-9a-f]+)@([0-9]{1,12})([|!])(.*)", re.DOTALL)
_selectors = msgspec.json.Decoder(Selector)
_encoder = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Invalidation:
    """What a selector names, unless its question was asked by who knew of ``id``.

    With ``erases`` no byte of it is to be left, and the selector holds digests only.
    """

    id: bytes
    expires_s: float
    condition: Condition
    erases: bool = False

    @property
    def selector(self) -> Selector:
        """Return which entries it names."""
        return self.condition.selector

    @property
    def name(self) -> str:
        """Return the counter that keeps it in the ledger."""
        text = _encoder.encode(self.selector).decode()
        return f"{self.id.hex()}@{int(self.expires_s)}{'!' if self.erases else '|'}{text}"

    @property
    def sole(self) -> bytes | None:
        """Return the digest of the entry, or of the caller, without which none is meant."""
        named = self.selector.entries or self.selector.whose
        return bytes.fromhex(named[0])[:PART_BYTES] if len(named) == 1 else None

    def covers(self, facts: Facts, after: Iterable[bytes]) -> bool | None:
        """Say whether the entry is gone; None = only vectors can tell."""
        return False if self.id in after else self.condition.holds(facts)

    def outdoes(self, other: Invalidation) -> bool:
        """Say whether whatever ``other`` names, this one does too, and as thoroughly."""
        mine, theirs = self.selector, other.selector
        if (mine.entries, mine.whose) != (theirs.entries, theirs.whose):  # most differ here
            return False
        if mine.apart_from_age != theirs.apart_from_age or other.erases > self.erases:
            return False
        return not mine.created_before_s or 0 < theirs.created_before_s <= mine.created_before_s


@dataclass(frozen=True, slots=True)
class Told:
    """An invalidation as the ledger has it."""

    id: bytes
    expires_s: float
    selector: Selector
    erases: bool

    def ready(self, vector: Vector | None) -> Invalidation:
        """Return it ready to be asked; ``vector`` is that of what it says of likeness."""
        try:
            made = condition(self.selector, vector)
        except ValueError:  # of another version: then it names everything
            made = condition(Selector())
        return Invalidation(self.id, self.expires_s, made, self.erases)


def new(
    selector: Selector, vector: Vector | None, expires_s: float, *, erases: bool = False
) -> Invalidation:
    """Make an invalidation of what is there now. Raises ``ValueError`` for a bad pattern."""
    made = condition(selector, vector)
    return Invalidation(secrets.token_bytes(ID_BYTES), expires_s, made, erases)


def parsed(name: str) -> Told | None:
    """Read a counter's name; None for a generation, or for what is none of ours.

    A selector that cannot be read, of another version or encrypted, names everything: cold, never
    wrong.
    """
    found = _NAME.fullmatch(name)
    if found is None or len(found[1]) != 2 * ID_BYTES:
        return None
    try:
        selector = _selectors.decode(found[4])
    except (msgspec.DecodeError, UnicodeEncodeError):
        selector = Selector()
    return Told(bytes.fromhex(found[1]), float(found[2]), selector, found[3] == "!")
