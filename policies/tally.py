"""What was observed about hits by meaning, counted by probability.

Which observation says what about which bar is decided here, and only here:

- A bar is judged by what it would serve: the candidates at or above it. An observation counts for
  the bars from which on it would have been seen anyhow (``Cell.floor``). A label or a candidate
  that was watched only is seen whatever its probability; a served hit is seen because it was
  served, so it says something about the bar of that moment and those above it, nothing about
  lower ones: that many sure hits are right tells nothing of the less sure that were not served.
  Where only what is below the bar is watched, the unsure are seen more often than they would be
  served, which errs to the safe side as long as less sure means more often wrong.
- Feedback is no fair sample: people report an error rather than a success, and nobody knows how
  many looked. So a report that a hit was wrong counts as one more wrong hit (``reported``), and a
  report that it was right counts for nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeVar

from .observation import Observation, Source

N = TypeVar("N", int, float)
LOWEST, KNEE, HIGHEST = 0.02, 0.8, 0.9995
BELOW, ABOVE = 14, 52  # bins from LOWEST to KNEE, and from there to HIGHEST
COUNT = BELOW + ABOVE + 1


def _edges() -> tuple[float, ...]:
    low, knee, high = (math.log(p / (1.0 - p)) for p in (LOWEST, KNEE, HIGHEST))
    odds = [low + (knee - low) * i / BELOW for i in range(BELOW)]
    odds += [knee + (high - knee) * i / ABOVE for i in range(ABOVE + 1)]
    return tuple(round(1.0 / (1.0 + math.exp(-one)), 5) for one in odds)


# The bars that there are, ascending: even steps of log-odds, so that they lie close near 1, where
# bars are; and short ones from KNEE on, as most of a judge's accepts may lie between 0.93 and 0.98.
# Bin 0 is what is below all of them, bin i what is at or above EDGES[i - 1] and below the next.
# Stored evidence names bins: another EDGES voids it.
EDGES = _edges()
# The error that a bin's probabilities admit: at its lower edge, so rather too much.
_DOUBT = (1.0, *(1.0 - edge for edge in EDGES))
_BARS = COUNT + 2  # with one above all bins, where nothing is served


def bin_of(probability: float) -> int:
    """Return the bin of ``probability``; what is no number is in bin 0."""
    return bisect_right(EDGES, probability) if probability >= LOWEST else 0


def first_edge(bar: float) -> int:
    """Return the lowest bin that lies wholly at or above ``bar``; ``COUNT + 1`` when none does."""
    return bisect_left(EDGES, bar) + 1 if bar > 0.0 else 0


@dataclass(frozen=True, slots=True)
class Cell:
    """Observations that say the same."""

    source: Source
    bin: int
    correct: bool
    floor: int = 0  # the lowest bin that was seen in this way; 0 = whatever its probability

    @property
    def name(self) -> str:
        """A name to store counts under; ``parse`` reads it."""
        return f"{self.source}|{self.bin}|{'right' if self.correct else 'wrong'}|{self.floor}"

    @classmethod
    def parse(cls, name: str) -> Cell:
        """Read a ``name``. Raises ``ValueError`` for anything else."""
        source, number, verdict, floor = name.split("|")
        cell = cls(Source(source), int(number), verdict == "right", int(floor))
        if cell.name != name or not (0 <= cell.bin <= COUNT and 0 <= cell.floor <= COUNT + 1):
            raise ValueError("no cell of a tally")
        return cell


def cell_of(observation: Observation, bar: float) -> Cell:
    """Return the cell that ``observation`` counts in. ``bar`` was in force when it was made.

    A report lowers no bar, so that it counts for whatever bar would have served that hit.
    """
    seen_as_served = observation.served and observation.source is not Source.FEEDBACK
    floor = first_edge(bar) if seen_as_served else 0
    return Cell(observation.source, bin_of(observation.probability), observation.correct, floor)


@dataclass(frozen=True, slots=True)
class Counts:
    """For every bar (``[i]``: at or above ``EDGES[i - 1]``; ``[0]``: all): what it would serve."""

    fair: tuple[int, ...]  # observations of a fair sample
    inside: tuple[int, ...]  # of those: in the bar's own bin, so that it was looked at
    wrong: tuple[int, ...]  # of those: wrong
    reported: tuple[int, ...]  # wrong hits that somebody reported, beyond the sample
    doubt: tuple[float, ...]  # errors to expect among ``fair``, by the probabilities alone


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of observations. Never changed: adding makes a new one."""

    cells: Mapping[Cell, int] = field(default_factory=dict)

    def add(self, observation: Observation, bar: float, amount: int = 1) -> Tally:
        """Return a tally with ``amount`` equal observations more."""
        return self.merge(Tally({cell_of(observation, bar): amount}))

    def merge(self, *others: Tally) -> Tally:
        """Return the sum of this tally and ``others``."""
        total = Counter(self.cells)
        for other in others:
            total.update(other.cells)
        return Tally(total)

    def counts(self) -> Counts:
        """Count for every bar what speaks about it."""
        fair, inside, wrong, reported = ([0] * _BARS for _ in range(4))
        doubt = [0.0] * _BARS
        for cell, amount in self.cells.items():
            if cell.source is not Source.FEEDBACK:
                _spread(fair, cell, amount)
                inside[cell.bin] += amount if cell.floor <= cell.bin else 0
                _spread(doubt, cell, amount * _DOUBT[cell.bin])
                if not cell.correct:
                    _spread(wrong, cell, amount)
            elif not cell.correct:
                _spread(reported, cell, amount)
        return Counts(_sums(fair), tuple(inside), _sums(wrong), _sums(reported), _sums(doubt))


def _sums(steps: list[N]) -> tuple[N, ...]:
    return tuple(accumulate(steps))


def _spread(steps: list[N], cell: Cell, amount: N) -> None:
    """Count ``amount`` for the bars from the cell's floor up to its bin, as differences."""
    if cell.floor <= cell.bin:  # else it lies between its bar and the next edge
        steps[cell.floor] += amount
        steps[cell.bin + 1] -= amount
