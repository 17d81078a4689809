"""The bar that evidence allows: from right and wrong answers to the least probability to serve.

``max_error_rate`` is a bound on wrong hits / hits. A bar is certified for it when the one-sided
95 % Clopper-Pearson upper bound of wrong / accepts, over everything at or above the bar, stays
within it. Trying every bar and keeping the lowest that passes would pass by luck far more often
than 5 %. So bars are tried in an order that no outcome has a say in, and the first that fails ends
the walk (fixed sequence testing, as in Angelopoulos, Bates, Candès, Jordan and Lei, "Learn then
Test", arXiv 2110.01052): each bar that was passed keeps its 95 %, and the last one is taken.

The order starts where the probabilities themselves promise the lowest bound, and goes down in steps
that change the sample by a twentieth at least, since a single error among few new observations
would end a walk that the next ones would have justified. Both look at how many and how probable,
never at who was right.

What is assumed: that the observations at or above a bar are a fair sample of what would be served
there tomorrow. ``tally.py`` decides which observations may speak for which bar.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

from .binomial import at_most, lower, upper
from .tally import EDGES, Cell, Counts, Tally, bin_of, cell_of, first_edge
from .wilson import wilson

__all__ = ["NOTHING", "Bar", "Cell", "Tally", "bars", "bin_of", "cell_of", "certify", "enough"]

NOTHING = 1.01  # a bar that no probability reaches
DOUBT = 0.05  # of a certificate
# One-sided, that a bar breaks its rate. To lend no bar it takes 95 %, as the strict one is at hand;
# to give the strict one up, 99 %, as this is asked with each new observation.
UNFIT, BROKEN = 0.95, 0.99
# Least change of the sample from one tried bar to the next. Neighbouring bars share nearly all of
# their observations, so that short steps cost little; in simulations 2 % gains next to nothing.
STEP = 0.05
# Errors that evidence may hold, of those that the rate allows, and still be expected to suffice.
PLAUSIBLE = 1 / 3


@dataclass(frozen=True, slots=True)
class Bar:
    """The least probability to serve, and what is known about it."""

    min_probability: float  # NOTHING: nothing is served by meaning
    accepts: int  # observations that speak about it
    wrong: int
    upper: float  # one-sided 95 % bound of wrong / accepts; 1 when nothing is known
    certified: bool  # the bound is within the rate, and the bar was found by the walk


def certify(tally: Tally, max_error_rate: float, strict: float) -> Bar:
    """Return the lowest bar that the walk certifies; ``strict`` when that is none below it.

    A bar above ``strict`` is returned only when the evidence contradicts ``strict`` itself: the
    certified one if there is one, else ``NOTHING``.
    """
    return _certify(tally.counts(), max_error_rate, strict)


def _certify(counts: Counts, max_error_rate: float, strict: float) -> Bar:
    found = _walk(counts, max_error_rate)
    if found is not None and EDGES[found - 1] <= strict:
        return _bar(counts, found, EDGES[found - 1], certified=True)
    at = first_edge(strict)
    if lower(counts.wrong[at], counts.fair[at], BROKEN) <= max_error_rate:
        return _bar(counts, at, strict, certified=False)
    if found is not None:
        return _bar(counts, found, EDGES[found - 1], certified=True)
    return Bar(NOTHING, 0, 0, 1.0, certified=False)


def bars(
    by_category: Mapping[str, Tally],
    rates: Mapping[str, float | None],
    strict: Mapping[str, float],
) -> Mapping[str, Bar]:
    """Return the bar of every category with a rate.

    Its own certificate, if its own evidence gives one. Else that of all categories together, as
    long as its own evidence is too little to decide and does not contradict it: few observations
    borrow from many. Else ``strict``. What closes a category is its own evidence alone.
    """
    pool = cache(partial(_certify, Tally().merge(*by_category.values()).counts()))
    chosen: dict[str, Bar] = {}
    for name, rate in rates.items():
        if rate is not None:
            own = by_category.get(name, Tally()).counts()
            chosen[name] = _with_pool(own, pool(rate, strict[name]), rate, strict[name])
    return chosen


@cache
def enough(max_error_rate: float, plausible: float = 0.0) -> int:
    """Return how many accepts certify a rate when a share ``plausible`` of those allowed is wrong.

    None wrong: about 3 / rate, so 299 for 1 %. A third of the rate: 773. Beyond 800, up to a
    thousandth too many.
    """
    if max_error_rate >= 1.0:
        return 1
    accepts = math.ceil(math.log(DOUBT) / math.log1p(-max_error_rate))
    while at_most(math.ceil(plausible * max_error_rate * accepts), accepts, max_error_rate) > DOUBT:
        accepts += max(1, accepts // 800)
    return accepts


def _with_pool(own: Counts, pool: Bar, rate: float, strict: float) -> Bar:
    mine = _certify(own, rate, strict)
    if mine.certified or mine.min_probability > strict:
        return mine
    if not pool.certified or pool.min_probability > strict:
        return mine
    return pool if _may_borrow(own, rate, pool.min_probability) else mine


def _may_borrow(own: Counts, rate: float, bar: float) -> bool:
    at = first_edge(bar)
    wrong, seen = own.wrong[at] + own.reported[at], own.fair[at] + own.reported[at]
    return seen < enough(rate, PLAUSIBLE) and lower(wrong, seen, UNFIT) <= rate


def _walk(counts: Counts, rate: float) -> int | None:
    """Return the last bin that passed; None when the first one failed, or there was none."""
    passed = None
    for at in _sequence(counts, enough(rate)):
        seen = counts.fair[at] + counts.reported[at]
        if at_most(counts.wrong[at] + counts.reported[at], seen, rate) > DOUBT:
            break
        passed = at
    return passed


def _sequence(counts: Counts, least: int) -> Iterator[int]:
    """Yield the bins to try, from the start downwards. Looks at numbers only, at no outcome."""
    highest = len(EDGES)
    fit = [at for at in range(highest, 0, -1) if counts.inside[at] and counts.fair[at] >= least]
    if not fit:
        return
    start = min(fit, key=lambda at: _promise(counts, at))
    before = 0
    for at in fit:
        seen = counts.fair[at]
        if at <= start and abs(seen - before) >= STEP * seen:
            yield at
            before = seen


def _promise(counts: Counts, at: int) -> float:
    """Return the bound to expect at a bin, by the probabilities alone."""
    seen = counts.fair[at]
    return wilson(min(seen, counts.doubt[at]), seen)[1]


def _bar(counts: Counts, at: int, probability: float, *, certified: bool) -> Bar:
    wrong = counts.wrong[at] + counts.reported[at]
    seen = counts.fair[at] + counts.reported[at]
    return Bar(probability, seen, wrong, upper(wrong, seen), certified)
