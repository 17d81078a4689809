"""One thing learnt about a hit by meaning: whether the stored answer fitted the new prompt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """Where an observation comes from."""

    SHADOW = "shadow"  # the model answered; its answer was compared with the stored one
    CHECK = "check"  # a hit was served, and the model was asked as well
    FEEDBACK = "feedback"  # who got the hit said so
    LABEL = "label"  # pairs labelled by hand, or an imported log


@dataclass(frozen=True, slots=True)
class Observation:
    """``probability`` is what the judge gave before anything was known."""

    category: str
    probability: float  # 0..1
    correct: bool
    source: Source
    served: bool  # False: it was only a would-be hit, or below the bar
