"""What a worker is told at its start: which one it is, and what it has from its parent."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """One of ``count`` workers. The folder is theirs alone; descriptors are inherited.

    ``listening`` are sockets that all share; over ``bond`` a worker says that it is ready, and
    hears by its end that the parent is gone.
    """

    number: int
    count: int
    folder: str
    listening: tuple[int, ...]
    bond: int

    @property
    def is_writer(self) -> bool:
        """Say whether this one does what only one may do."""
        return self.number == 0

    def door(self, number: int) -> Path:
        """Return the private socket of worker ``number``."""
        return Path(self.folder, f"{number}.sock")

    def counts(self, number: int) -> Path:
        """Return the file of what worker ``number`` last said of its metrics."""
        return Path(self.folder, f"{number}.prom")

    def share(self, per_day: int) -> int:
        """Return this worker's part of a budget of all."""
        whole, rest = divmod(per_day, self.count)
        return whole + (self.number < rest)


def reload_mark(folder: str | Path) -> str:
    """Return what changes with every reload that is asked of all; "" before the first."""
    try:
        return Path(folder, "reload").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def mark_reload(folder: str | Path) -> None:
    """Let workers that are starting know that what they have read may be of before a reload."""
    keep(Path(folder, "reload"), secrets.token_hex(8).encode())


def keep(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.write_bytes(data)
    draft.replace(path)
