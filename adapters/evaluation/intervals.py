"""Shares with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Share:
    """``part`` of ``whole`` observations; ``per_case`` of them come from one independent case."""

    part: int
    whole: int
    per_case: int = 1

    @property
    def value(self) -> float | None:
        """The share, None when nothing was observed."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval, counted in independent cases."""
        return wilson(self.part / self.per_case, self.whole / self.per_case)

    def __str__(self) -> str:
        """Percent with interval, "12.5 (8.1-18.9)", or "-" when nothing was observed."""
        if self.value is None:
            return "-"
        low, high = self.interval
        return f"{100 * self.value:.1f} ({100 * low:.1f}-{100 * high:.1f})"

    def as_json(self) -> dict[str, float | int | None]:
        """Return counts, share and interval for machine readers."""
        low, high = self.interval
        return {
            "part": self.part,
            "whole": self.whole,
            "share": self.value,
            "low": low,
            "high": high,
        }
