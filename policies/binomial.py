"""Exact bounds of a share, from counts alone (Clopper and Pearson, Biometrika 26, 1934).

They hold for any number of trials, also for none wrong, where an approximation by the normal
distribution would say that nothing can go wrong. The tail of the binomial distribution is an
incomplete beta function; its continued fraction (Lentz's method, DLMF 8.17.22) takes some tens of
steps whatever the counts, so that a bound costs some tens of microseconds.
"""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300  # stands for a zero that would be divided by
_EXACT = 1e-12  # relative change at which the fraction has settled
_CLOSE = 1e-5  # relative width at which a bound is known, also beside 0 and 1


def at_most(wrong: int, trials: int, rate: float) -> float:
    """Return the probability of ``wrong`` or fewer of ``trials`` when each is with ``rate``."""
    if wrong >= trials:
        return 1.0
    return _beta(1.0 - rate, trials - wrong, wrong + 1)


@lru_cache(maxsize=4096)  # most categories learn nothing between two looks
def upper(wrong: int, trials: int, confidence: float = 0.95) -> float:
    """Return the rate that the true one exceeds with a probability of 1 - ``confidence`` at most.

    One-sided. Without trials everything is possible: 1.
    """
    if wrong >= trials:
        return 1.0
    doubt = 1.0 - confidence
    low, high = wrong / trials, 1.0
    while high - low > _CLOSE * min(high, 1.0 - low):
        middle = (low + high) / 2
        if at_most(wrong, trials, middle) > doubt:
            low = middle
        else:
            high = middle
    return high


def lower(wrong: int, trials: int, confidence: float = 0.95) -> float:
    """Return the rate that the true one falls below with a probability of 1 - ``confidence``.

    At most that, and one-sided. Without trials: 0.
    """
    return 1.0 - upper(trials - wrong, trials, confidence) if trials else 0.0


def _beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast on the other side only
        return 1.0 - _beta(1.0 - x, b, a)
    front = a * math.log(x) + b * math.log1p(-x)
    front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _kept(1.0 - (a + b) * x / (a + 1.0))
    value, change, m = d, math.inf, 0
    while abs(change - 1.0) > _EXACT:
        m += 1
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            d = 1.0 / _kept(1.0 + term * d)
            c = _kept(1.0 + term / c)
            change = c * d
            value *= change
    return value


def _kept(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
