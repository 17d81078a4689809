"""What a notice of the change log is about, and how it is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from ..engine import Engine
from ..removing.invalidation import LEDGER as INVALIDATED

Read = Callable[[], Awaitable[None]]
EPOCH = b"epoch"


def readers_of(engine: Engine, epoch: Read) -> Mapping[bytes, Read]:
    """Return what reads the things that a notice may name. ``epoch`` reads the epoch anew."""
    blocked = partial(engine.blocked.read, engine.store)
    return {
        EPOCH: epoch,
        b"blocked": blocked,
        b"withdrawn": blocked,
        INVALIDATED.encode(): epoch,  # it reads both
    }
