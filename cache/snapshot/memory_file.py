"""Files that exist in memory only: for libraries that write and read nothing else.

On a disk they would leave in the clear what is sealed everywhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A file in memory, by a path that this process can open."""

    descriptor: int

    @property
    def path(self) -> str:
        """Return where a library finds it."""
        return f"/proc/self/fd/{self.descriptor}"

    @property
    def size_bytes(self) -> int:
        """Return how large it is."""
        return os.fstat(self.descriptor).st_size

    def pieces(self) -> Iterator[bytes]:
        """Read it from the beginning."""
        at = 0
        while piece := os.pread(self.descriptor, PIECE_BYTES, at):
            yield piece
            at += len(piece)

    def fill(self, pieces: Iterable[bytes]) -> None:
        """Write ``pieces`` to its end."""
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(self.descriptor, view) :]


@contextmanager
def memory_file() -> Iterator[MemoryFile]:
    """Make one that is gone afterwards. Linux only."""
    descriptor = os.memfd_create("kindcache")
    try:
        yield MemoryFile(descriptor)
    finally:
        os.close(descriptor)
