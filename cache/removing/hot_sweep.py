"""Taking out of memory what has just been invalidated, in one step."""

from __future__ import annotations

from ...policies.selecting import Facts
from ..entries.memory import Memory
from ..ports import EntryKey
from ..singleflight import Flights
from .entry_facts import of_payload
from .invalidated import InForce


def drop_covered(memory: Memory, flights: Flights, fresh: InForce) -> list[Facts]:
    """Take hot payloads that ``fresh`` covers out of reach, with calls in progress; return them.

    2 to 8 us a payload. What only its vector can tell about is forgotten here and stays in the
    store: who asks for it has it looked at again. Entries of which no payload is hot are looked at
    when theirs is fetched.
    """
    gone = []
    # Most invalidations of single entries find nothing here: look for them by key.
    held = memory.hot.items() if fresh.others else memory.hot.items_of(fresh.of_entries)
    for key, payload in held:
        facts = of_payload(key, payload)
        covered = fresh.covers(facts, payload.after)
        if covered:
            gone.append(facts)
        elif covered is None:
            memory.hot.discard(key)
    memory.remove([EntryKey(facts.key) for facts in gone], "invalidated")
    flights.close()
    return gone
