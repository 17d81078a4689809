"""How room is given out: limits and shares, what an entry is worth, and whose worth counts more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .room import Limits, Room
from .worth import WORTHS, Worth, value

if TYPE_CHECKING:
    from ..config.settings import Settings


@dataclass(frozen=True, slots=True)
class Allotment:
    """All that decides who goes when room is short."""

    room: Room
    worth: Worth = value
    priorities: Mapping[str, float] = field(default_factory=dict)  # a category not named has 1


def allot(settings: Settings) -> Allotment:
    """Resolve the allotment of ``settings``."""
    capacity, kinds = settings.capacity, settings.categories
    limits = Limits(
        entries=capacity.entries,
        size_bytes=capacity.size,
        quotas={name: kind.quota for name, kind in kinds.items() if kind.quota},
        per_scope=capacity.per_scope,
    )
    priorities = {name: kind.priority for name, kind in kinds.items()}
    return Allotment(Room(limits), WORTHS[capacity.eviction], priorities)
