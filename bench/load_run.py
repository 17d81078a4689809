"""What a run of the load experiment tells: every call, and the state at every second."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Told:
    """What became of one call."""

    at_s: float
    how: str  # "hit", "relaxed", "joined", "asked"
    wrong: bool = False
    first_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Second:
    """The state at the end of a second."""

    load: float
    bar: float
    waiting: int


@dataclass(slots=True)
class Run:
    """One way to serve, and what came of it."""

    name: str
    overload: float
    told: list[Told] = field(default_factory=list)
    seconds: list[Second] = field(default_factory=list)
