"""Taking out of memory what has just been invalidated, in one step."""

from __future__ import annotations

from ...policies.selecting import Facts
from ..entries.memory import Memory
from ..singleflight import Flights
from .entry_facts import of_payload
from .in_force import InForce


def drop_covered(memory: Memory, flights: Flights, fresh: InForce) -> list[Facts]:
    """Take hot payloads that ``fresh`` covers out of reach, with calls in progress; return them.

    2 to 8 us a payload. What only its vector can tell about is forgotten here and stays in the
    store: who asks for it has it looked at again. So does what is erased: whoever removes it must
    know what was made of it. Entries of which no payload is hot are looked at when theirs is
    fetched.
    """
    gone, removed = [], []
    # Most invalidations of single entries find nothing here: look for them by key.
    held = memory.hot.items_of(fresh.of_one) if fresh.names_entries else memory.hot.items()
    for key, payload in held:
        facts = of_payload(key, payload)
        covered = fresh.covers(facts, payload.after)
        if covered:
            gone.append(facts)
        if covered and not fresh.erases(facts, payload.after):
            removed.append(key)
        elif covered is not False:
            memory.hot.discard(key)
    memory.remove(removed, "invalidated")
    flights.close()
    return gone
