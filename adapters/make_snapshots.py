"""From settings to what keeps snapshots."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..cache.engine import Engine
from ..cache.errors import StartupError
from ..cache.snapshot.contents import Format
from ..cache.snapshot.file_format import code_key
from ..cache.snapshot.keeping import Snapshots
from ..config.settings import Settings


def make_snapshots(
    settings: Settings, engine: Engine, environ: Mapping[str, str], *, writes: bool = True
) -> Snapshots | None:
    """Return what keeps snapshots of ``engine``, None where none are wanted.

    Without ``writes`` they are read only: another process at the file writes them. Raises
    ``StartupError``, also where the system cannot take them.
    """
    asked, variable = settings.snapshot, settings.store.encryption_env
    if not asked.path:
        return None
    if not hasattr(os, "memfd_create") or not hasattr(os, "pidfd_open"):
        raise StartupError("snapshot.path: snapshots need Linux; leave it out")
    seals = None
    if variable:
        from ..cache.stores.sealing import parse_keys  # noqa: PLC0415 - only what is used

        seals = parse_keys(environ.get(variable, ""), variable)
    form = Format(code_key(engine.identity.scoping.secret), seals)
    return Snapshots(engine, Path(asked.path), form, asked.every, writes=writes)
