"""What a lookup ends in, for the adapter that must now answer somebody."""

from __future__ import annotations

from dataclasses import dataclass

from ..policies.verdict import Bypass, Hit, Miss
from .asking.fingerprint import Ask
from .entries.entry import Payload
from .events import Trace
from .ports import Vector
from .singleflight import Flight


@dataclass(frozen=True, slots=True)
class Found:
    """Answer with ``payload``."""

    hit: Hit
    payload: Payload
    trace: Trace
    ask: Ask


@dataclass(frozen=True, slots=True)
class Lead:
    """Ask the model, then hand this back to ``Engine.settle`` or ``Engine.release``."""

    ask: Ask
    miss: Miss
    trace: Trace
    vector: Vector | None
    write: bool
    flight: Flight | None
    known: frozenset[bytes] = frozenset()  # invalidations, when the question was asked


@dataclass(frozen=True, slots=True)
class Follow:
    """Read what another caller's call in progress brings; ``flight.leave()`` when done."""

    ask: Ask
    miss: Miss
    trace: Trace
    flight: Flight


@dataclass(frozen=True, slots=True)
class Aside:
    """Take no part."""

    bypass: Bypass


Outcome = Found | Lead | Follow | Aside
