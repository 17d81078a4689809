"""One line of evidence, and the name under which the store counts it.

A name is ``instrument|day|category|…``, then a cell of the tally, or ``hit|bin``. The instrument is
a digest of all that a probability depends on: the same figure from another scorer means something
else.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from hashlib import blake2b

from ...policies.calibration import Cell
from ...policies.tally import EDGES
from ..ports import Embedder, PairScorer

DAY_S = 86400.0
_FORMAT = 1
_HIT = "hit"


@dataclass(frozen=True, slots=True)
class Sent:
    """A hit by meaning went out, whatever is learnt of it later."""

    bin: int  # of its probability

    @property
    def name(self) -> str:
        """A name to store counts under."""
        return f"{_HIT}|{self.bin}"


@dataclass(frozen=True, slots=True)
class Fact:
    """What one counter counts."""

    day: int  # days since 1970, UTC
    category: str
    what: Cell | Sent


def instrument(scorer: PairScorer | None, embedder: Embedder) -> str:
    """Name what gives the probabilities: scorer, fusion, embedder and bins; 16 hex digits.

    Both must be open. Without a scorer there are no probabilities, only similarities.
    """
    parts = [_FORMAT, EDGES, embedder.identity]
    if scorer is not None:
        parts += [scorer.identity, *astuple(scorer.fusion)]
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def encode(instrument: str, fact: Fact) -> str:
    """Return the name of the counter of ``fact``."""
    return f"{instrument}|{fact.day}|{fact.category}|{fact.what.name}"


def decode(instrument: str, name: str) -> Fact | None:
    """Return what the counter ``name`` counts; None for another instrument's, or none of ours."""
    of, *rest = name.split("|", 3)
    if of != instrument or len(rest) != 3:
        return None
    day, category, what = rest
    kind, _, number = what.partition("|")
    try:
        return Fact(int(day), category, Sent(int(number)) if kind == _HIT else Cell.parse(what))
    except ValueError:
        return None


def day_of(name: str) -> int | None:
    """Return the day of a counter, whatever its instrument; None for none of ours."""
    parts = name.split("|", 2)
    try:
        return int(parts[1])
    except (IndexError, ValueError):
        return None
