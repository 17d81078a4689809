"""What a model's tokens cost, by its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.settings import Settings

PER = 1_000_000  # tokens that a price is for


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a million tokens read, and of a million written, in one currency."""

    input: float
    output: float

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Return what so many tokens cost."""
        return (input_tokens * self.input + output_tokens * self.output) / PER


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by shell globs on the model's name, the first that matches counts.

    And what a lookup by meaning costs in the same currency; None = not known.
    """

    table: Sequence[tuple[str, Price]] = ()
    per_lookup: float | None = None
    per_cpu_second: float | None = None

    def of(self, model: str) -> Price | None:
        """Return the price of ``model``, None where it is not known."""
        return next((price for glob, price in self.table if fnmatchcase(model, glob)), None)

    def lookup(self, lookup_s: float | None) -> float | None:
        """Return what a lookup costs that takes ``lookup_s``, waiting included."""
        if self.per_cpu_second is None:
            return self.per_lookup
        time = self.fetch(lookup_s)
        return None if time is None else (self.per_lookup or 0.0) + time

    def fetch(self, fetch_s: float | None) -> float | None:
        """Return what fetching an answer costs that takes ``fetch_s``."""
        if fetch_s is None or not math.isfinite(fetch_s):
            return None
        return (self.per_cpu_second or 0.0) * fetch_s


def read_prices(settings: Settings) -> Prices:
    """Return the prices that ``settings`` name."""
    asked = settings.economics
    return Prices(
        tuple((glob, Price(price.input, price.output)) for glob, price in asked.prices.items()),
        asked.per_lookup,
        asked.per_cpu_second,
    )
