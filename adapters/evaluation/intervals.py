"""Shares with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

from ...policies.wilson import wilson


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
