"""What happened, one frozen event per stage. Never holds prompt text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ..policies.observation import Source
from ..policies.room import Cause
from ..policies.verdict import Reason, Verdict


@dataclass(slots=True)
class Trace:
    """How long the stages of one lookup took, in seconds; 0 = not entered."""

    embed_s: float = 0.0
    search_s: float = 0.0
    judge_s: float = 0.0
    store_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A lookup ended. ``collapsed`` = it joined a call in progress."""

    verdict: Verdict
    trace: Trace
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """A stored answer goes out: what that saves."""

    category: str
    upstream_s: float  # what the upstream took for it
    tokens: int  # total tokens of it, 0 = not known
    model: str = ""  # as the request names it
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer was admitted."""

    category: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class KeptApart:
    """An answer was stored for its own prompt alone: not to be found by meaning."""

    category: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class NotStored:
    """An answer was not admitted."""

    category: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Answered:
    """The upstream answered a miss."""

    model: str
    status: int
    first_byte_s: float
    total_s: float
    category: str = ""
    complete: bool = False  # a whole answer, whether or not it is stored
    input_tokens: int = 0  # 0 = not known
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Removed:
    """Entries left the table."""

    count: int
    # "evicted", "expired", "missing", "corrupt", "purged", "invalidated", "feedback", "elsewhere"
    why: str


@dataclass(frozen=True, slots=True)
class GaveWay:
    """An entry was evicted for another one."""

    category: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Failed:
    """Something failed and was survived. ``error`` is the exception's type, never its text."""

    stage: str  # "lookup", "settle", "store.get", "store.put", "embed", "open", …
    error: str


@dataclass(frozen=True, slots=True)
class Verified:
    """Something was learnt about a hit by meaning, or about what would have been one."""

    category: str
    source: Source
    correct: bool


@dataclass(frozen=True, slots=True)
class NotCompared:
    """Nothing was learnt of two answers that could have been compared."""

    category: str
    source: Source
    why: str  # "unclear", "failed", "dropped" (too many wait), "unpaid", "gone" (left the cache)


@dataclass(frozen=True, slots=True)
class OwnCall:
    """kindcache called the model on its own account, or would have."""

    purpose: str  # "check", "judge", "refresh"
    outcome: str  # "answered", "failed", "unpaid"


@dataclass(frozen=True, slots=True)
class BarMoved:
    """A category has another bar now."""

    category: str
    bar: float  # above 1: nothing is served by meaning
    why: str  # "certified", "strict" (too little evidence), "alarm"


@dataclass(frozen=True, slots=True)
class LoadMoved:
    """A model has become loaded, or is at rest again."""

    model: str
    factor: float  # 0..1; 0 = at rest


@dataclass(frozen=True, slots=True)
class Followed:
    """Entries were looked at because another process changed them."""

    count: int


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """All records of the store are being read anew."""

    cause: str  # "trimmed", "behind" (of the change log), "told"


Event = (
    LookedUp
    | Served
    | Stored
    | NotStored
    | KeptApart
    | Answered
    | Removed
    | GaveWay
    | Failed
    | Verified
    | NotCompared
    | OwnCall
    | BarMoved
    | LoadMoved
    | Followed
    | Rebuilt
)


class Observer(Protocol):
    """Takes events. Must be quick and must not raise."""

    def notify(self, event: Event) -> None:
        """Take one event."""
        ...


@dataclass(slots=True)
class Observers:
    """Several observers as one."""

    members: list[Observer] = field(default_factory=list)

    def notify(self, event: Event) -> None:
        """Pass ``event`` to every member."""
        for member in self.members:
            member.notify(event)
