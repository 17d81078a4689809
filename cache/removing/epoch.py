"""The epoch: what is out of reach at once, for all who share a store.

Two random nonces make it, both kept in the store. One is claimed and never changed. The other, the
generation, stands in the ledger of invalidations, so that whoever loses the ledger loses the epoch:
cold, never wrong. A new generation invalidates everything.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from ..asking.scope import digest

if TYPE_CHECKING:
    from ..engine import Engine

PATIENCE_S = 0.05
TRIES = 3


async def follow_epoch(engine: Engine, *, make_room: bool = False) -> bool:
    """Read what is invalidated, and put the store's epoch in force; say whether it is another.

    Then memory is empty. Raises ``StoreError``. ``make_room``: see ``Invalidated.begin``.
    """
    drawn = secrets.token_bytes(16)
    claimed = await engine.store.claim("epoch", drawn)
    known = engine.invalidated
    if known.all_due:
        await known.begin(engine.store, make_room=make_room)
        known.all_due = False
    await known.read(engine.store)
    for _ in range(0 if claimed == drawn else TRIES):
        if known.generation:
            break
        await asyncio.sleep(PATIENCE_S)  # who drew the other nonce is about to note this one
        await known.read(engine.store)
    if not known.generation:
        await known.begin(engine.store)
        await known.read(engine.store)
    epoch = digest(b"epoch", claimed, known.generation.encode())
    if epoch == engine.epoch:
        return False
    _leave(engine)
    engine.epoch = epoch
    return True


def leave_epoch(engine: Engine) -> None:
    """Serve nothing any more until the store has begun another epoch, which ``follow_epoch`` does.

    So that nothing of before is served whatever becomes of the store.
    """
    engine.invalidated.all_due = True
    _leave(engine)


def _leave(engine: Engine) -> None:
    engine.epoch = None
    engine.memory.clear()
    engine.memory.fetches.overtake_all(removed=True)
    engine.flights.close()
