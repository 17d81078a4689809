"""Rooms for tests that are about something else: so many entries, the longest unused goes."""

from __future__ import annotations

from itertools import count
from random import Random

from kindcache.cache.entries.occupancy import Occupancy
from kindcache.policies.allotment import Allotment
from kindcache.policies.room import Limits, Room
from kindcache.policies.worth import lru


def by_recency(entries: int) -> Occupancy:
    """Return a room in which all are looked at, on a clock that ticks with each use."""
    allotment = Allotment(Room(Limits(entries)), lru)
    return Occupancy(allotment, count(0.0).__next__, Random(0), sample=1_000_000)
