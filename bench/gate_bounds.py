"""The most that a request may cost: what ``gate.py`` counts is held against these."""

from __future__ import annotations

from dataclasses import dataclass

HOW_TO_CHANGE = (
    "Find what costs more: `python bench/gate.py` shows all counts, before and after. If it is "
    "worth its price, raise the bound in bench/gate_bounds.py to a tenth above the new count."
)


@dataclass(frozen=True, slots=True)
class Bound:
    """A count must not be above ``most``."""

    path: str
    what: str
    most: float
    why: str


NO_WAIT = "one pass of the event loop: a wait is a round trip that others slow down"
NO_TASK = "a task costs some 15 us, and a turn of the loop"
PROGRAM = "a tenth above the count with Python 3.11; 3.12 and 3.13 have a tenth less"
HELD = "a quarter above the count: what a request holds, a busy server holds many times"

BOUNDS = (
    Bound("exact hit", "waits", 0, NO_WAIT),
    Bound("exact hit", "tasks", 0, NO_TASK),
    Bound("exact hit", "fetches from the store", 0, "the answer lies in memory"),
    Bound("exact hit", "calls", 400, PROGRAM),
    Bound("exact hit", "bytecodes", 5_300, PROGRAM),
    Bound("exact hit", "peak bytes", 5_300, HELD),
    Bound("exact hit", "blocks kept", 0.2, "nothing stays: a block for each hit would be a leak"),
    Bound("exact hit", "times a bare app", 11, "7.0 on a quiet machine, at most 8.6 on a busy one"),
    Bound("exact hit, stream", "waits", 0, NO_WAIT),
    Bound("exact hit, stream", "tasks", 0, NO_TASK),
    Bound("exact hit, stream", "calls", 400, PROGRAM),
    Bound("exact hit, stream", "bytecodes", 5_350, PROGRAM),
    Bound("exact hit, store", "tasks", 0, NO_TASK),
    Bound("exact hit, store", "fetches from the store", 1, "one round trip"),
    Bound("exact hit, store", "calls", 480, PROGRAM),
    Bound("exact hit, store", "bytecodes", 6_350, PROGRAM),
    Bound("semantic hit", "waits", 0, "the models' threads apart, which are not counted here"),
    Bound("semantic hit", "tasks", 0, NO_TASK),
    Bound("semantic hit", "fetches from the store", 1, "its own words may be stored there"),
    Bound("semantic hit", "calls", 930, PROGRAM),
    Bound("semantic hit", "bytecodes", 12_150, PROGRAM),
    Bound("miss", "tasks", 0, "the caller's own task asks the model"),
    Bound("miss", "fetches from the store", 1, "its own words may be stored there"),
    Bound("miss", "calls", 1_450, PROGRAM),
    Bound("miss", "bytecodes", 18_800, PROGRAM),
)
