"""The interval of a share that was counted."""

from __future__ import annotations

from math import sqrt


def wilson(successes: float, n: float, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a binomial share; z = 1.96 gives 95 %.

    Nothing observed (``n`` = 0) leaves everything possible: (0, 1). ``n`` may be a fraction: an
    effective number of independent observations.
    Source: E. B. Wilson, "Probable inference", JASA 22 (1927).
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    denominator = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / denominator
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / denominator
    # The bounds of 0 and n successes are exact; rounding must not move them.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high
