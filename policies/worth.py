"""What an entry is worth when room is short: of a sample, the one worth least goes.

One function for each policy that ``capacity.eviction`` may name. Figures of two policies cannot be
compared. ``docs/policies.md`` explains the formula of ``value``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from .demand import faded, watched_s

PRIOR_HITS = 0.2  # ours: how long an entry is trusted to be like its category
FADING_LIFE_S = 300.0  # ours: what ends within five minutes can save little more
COVERED_FROM = 0.9  # cosine; ours: below it a neighbour rarely answers in an entry's place
COVERED_MOST = 0.5  # ours: a twin answers half of what is asked in other words

Name = Literal["value", "lru", "lfu", "gdsf", "fifo"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of an entry."""

    admitted_s: float
    used_s: float  # its last hit, or its admission
    hits: int
    uses: float  # hits, faded up to ``used_s``; those that a neighbour would have had count less
    level: float  # the worth of what had gone last when it was last used
    cost_s: float  # upstream time of the answer; 0 = not known
    left_s: float  # of its life
    likeness: float  # cosine of its nearest neighbour when it was stored; 0 = none
    share: float  # the larger of its parts of all entries and of all bytes


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of its category."""

    priority: float = 1.0
    rate_per_s: float = 1.0 / 3600.0  # hits a second of one entry
    cost_s: float = 1.0  # mean upstream time of an answer


Worth = Callable[[Kept, Kind, float], float]  # the last is the time now


def covered(likeness: float) -> float:
    """Return the share of hits by meaning that the nearest neighbour would serve as well."""
    nearness = (likeness - COVERED_FROM) / (1.0 - COVERED_FROM)
    return COVERED_MOST * min(max(nearness, 0.0), 1.0)


def value(kept: Kept, kind: Kind, now_s: float) -> float:
    """Return the upstream seconds saved per second and per part of the room, by priority.

    The rate is the posterior mean of a Gamma prior with the category's rate and ``PRIOR_HITS``.
    """
    seen = faded(kept.uses, now_s - kept.used_s)
    new = PRIOR_HITS * (1.0 - covered(kept.likeness))
    watched = watched_s(now_s - kept.admitted_s)
    rate_per_s = (new + seen) / (PRIOR_HITS / kind.rate_per_s + watched)
    lasting = min(1.0, max(0.0, kept.left_s) / FADING_LIFE_S)
    cost_s = kept.cost_s or kind.cost_s
    return kind.priority * rate_per_s * cost_s * lasting / kept.share


def lru(kept: Kept, _kind: Kind, _now_s: float) -> float:
    """Return the time of the last use."""
    return kept.used_s


def lfu(kept: Kept, _kind: Kind, now_s: float) -> float:
    """Return the number of hits; of equals, the one used longest ago goes."""
    return kept.hits + 1.0 / (2.0 + max(0.0, now_s - kept.used_s))


def gdsf(kept: Kept, kind: Kind, _now_s: float) -> float:
    """Return Greedy-Dual-Size-Frequency (Cherkasova 1998): L + frequency x cost / size."""
    return kept.level + (1 + kept.hits) * (kept.cost_s or kind.cost_s) / kept.share


def fifo(kept: Kept, _kind: Kind, _now_s: float) -> float:
    """Return the time of admission."""
    return kept.admitted_s


WORTHS: Mapping[Name, Worth] = {"value": value, "lru": lru, "lfu": lfu, "gdsf": gdsf, "fifo": fifo}
