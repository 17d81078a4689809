"""What the evidence proposes for each category of a policy file. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ...config.settings import Settings
from ...policies.binomial import at_most
from ...policies.calibration import DOUBT, NOTHING, Bar, bars, certify
from ...policies.tally import Tally, first_edge

MOST_ACCEPTS = 10_000_000  # that anybody would be told to collect


class Finding(StrEnum):
    """What came out for a category."""

    CERTIFIED = "certified"  # by its own evidence
    POOLED = "pooled"  # by that of all categories together
    UNCERTIFIED = "uncertified"  # the bar in force stays
    CLOSED = "closed"  # the bar in force is too low, and no other holds
    NO_RATE = "no_rate"
    NOT_BY_MEANING = "not_by_meaning"  # there is no bar


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is known about one category, and the bar that follows."""

    category: str
    finding: Finding
    observations: int
    wrong: int
    rate: float | None  # wrong hits / hits that the bar must stay within
    in_force: float  # bar of the policy file
    at_bar: tuple[int, int]  # wrong, and of how many, at or above the bar in force
    bar: Bar | None = None  # certified, by its own evidence or all categories'
    more: int | None = None  # accepts without an error that would certify the bar in force
    higher: float | None = None  # a bar above the one in force that is certified; nothing asks it

    @property
    def proposed(self) -> float | None:
        """Return the new bar, None when the one in force stays or nothing may be served."""
        if self.bar is None or self.bar.min_probability == self.in_force:
            return None
        return self.bar.min_probability


def propose(
    settings: Settings, tallies: Mapping[str, Tally], rate: float | None = None
) -> tuple[Proposal, ...]:
    """Propose a bar for every category, in the file's order.

    ``tallies`` by category: all that was observed. ``rate`` holds for all; None = each category's
    own ``max_error_rate``.
    """
    names = settings.category_names
    rates = {name: _rate(settings, name, rate) for name in names}
    strict = {name: settings.effective(name).min_probability for name in names}
    known = {name: tallies.get(name, Tally()) for name in names}
    found = bars(known, rates, strict)
    return tuple(
        _proposal(settings, name, known[name], rates[name], found.get(name)) for name in names
    )


def accepts_missing(wrong: int, seen: int, rate: float) -> int | None:
    """Return how many accepts without an error would bring the bound within ``rate``.

    0 = it is; None = more than anybody collects.
    """
    tried = range(MOST_ACCEPTS + 1)
    more = bisect_left(tried, x=True, key=lambda n: at_most(wrong, seen + n, rate) <= DOUBT)
    return more if more <= MOST_ACCEPTS else None


def served_by_meaning(settings: Settings, name: str) -> bool:
    """Say whether category ``name`` has a bar at all."""
    policy = settings.effective(name)
    return policy.cache and policy.semantic


def _rate(settings: Settings, name: str, rate: float | None) -> float | None:
    if not served_by_meaning(settings, name):
        return None
    return settings.effective(name).max_error_rate if rate is None else rate


def _proposal(
    settings: Settings, name: str, tally: Tally, rate: float | None, bar: Bar | None
) -> Proposal:
    in_force = settings.effective(name).min_probability
    known = Proposal(
        category=name,
        finding=Finding.NO_RATE if served_by_meaning(settings, name) else Finding.NOT_BY_MEANING,
        observations=sum(tally.cells.values()),
        wrong=sum(amount for cell, amount in tally.cells.items() if not cell.correct),
        rate=rate,
        in_force=in_force,
        at_bar=at_or_above(tally, in_force),
    )
    if rate is None or bar is None:
        return known
    if bar.certified:
        own = certify(tally, rate, in_force) == bar
        return replace(known, finding=Finding.CERTIFIED if own else Finding.POOLED, bar=bar)
    if bar.min_probability >= NOTHING:
        return replace(known, finding=Finding.CLOSED)
    anywhere = certify(tally, rate, strict=1.0)
    return replace(
        known,
        finding=Finding.UNCERTIFIED,
        more=accepts_missing(*known.at_bar, rate),
        higher=anywhere.min_probability if anywhere.certified else None,
    )


def at_or_above(tally: Tally, bar: float) -> tuple[int, int]:
    """Return how many were wrong, and of how many, at or above ``bar``; reports are wrong hits."""
    counts, at = tally.counts(), first_edge(bar)
    return counts.wrong[at] + counts.reported[at], counts.fair[at] + counts.reported[at]


def categories_with_a_rate(proposals: Sequence[Proposal]) -> list[str]:
    """Return the categories for which a bar could be looked for."""
    return [one.category for one in proposals if one.rate is not None]
