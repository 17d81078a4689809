"""Where a copy of the index is kept for the next start."""

from __future__ import annotations

from pydantic import Field

from .units import Duration
from .value_types import Strict


class SnapshotSettings(Strict):
    """A copy of table and index on disk, from which a restart is warm in seconds. Linux only."""

    path: str = Field(
        default="",
        description="File of the snapshot; it holds prompts and vectors, encrypted where the store "
        "is (`docs/moving.md`). Empty: none is kept. That is the default: up to some 10,000 "
        "entries the store's own records are as quick, and prompts stand in one place only.",
    )
    every: Duration = Field(
        default=600.0,
        description="How often one is taken, if anything has changed; and one at the end. What "
        "happened since is read from the store's change log.",
    )
