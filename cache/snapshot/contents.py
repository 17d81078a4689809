"""What a snapshot says of itself, and what is written after it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..entries.table import Table
from ..ports import Position
from ..stores.sealing import Keys
from .file_format import FileSink, FileSource
from .sections import Source, Unusable, put_facts, take_facts

OLDEST_S = 30 * 86_400.0  # erasures since then are still known
SKEW_S = 3600.0  # of the clocks of two machines
_PACKAGES = ("kindcache", "hnswlib", "usearch")


@dataclass(frozen=True, slots=True)
class Format:
    """Whose files these are: the code of others is not made with ``key``, nor sealed alike."""

    key: bytes
    seals: Keys | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Of what and when a snapshot was taken."""

    made_by: str
    made_s: float
    epoch: bytes
    embedder: str
    position: Position  # all changes of the store up to here are in it
    erasures: list[bytes]  # those that were known
    invalidations: list[bytes]  # and these

    def check(
        self, epoch: bytes | None, embedder: str, erasures: Iterable[bytes], now_s: float
    ) -> None:
        """Raise ``Unusable`` when what was taken is not of what is there now."""
        if self.made_by != made_by():
            raise Unusable("OtherVersion")
        if self.epoch != epoch:
            raise Unusable("OtherEpoch")
        if self.embedder != embedder:
            raise Unusable("OtherEmbedder")
        if not -SKEW_S <= now_s - self.made_s <= OLDEST_S:
            raise Unusable("TooOld")
        if not set(self.erasures).issuperset(erasures):
            raise Unusable("Erased")


def made_by() -> str:
    """Name what lays out these files: versions, and the order of bytes in numbers."""
    return " ".join([*(f"{name} {_version(name)}" for name in _PACKAGES), sys.byteorder])


def write(descriptor: int, form: Format, facts: Facts, table: Table) -> None:
    """Write a snapshot to an open file, down to the disk."""
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        sink = FileSink(file, form.key, form.seals)
        put_facts(sink, "facts", facts)
        table.save(sink)
        put_facts(sink, "end", True)
        sink.finish()
    os.fsync(descriptor)


@contextmanager
def opened(path: Path, form: Format) -> Iterator[tuple[Facts, Source]]:
    """Open the snapshot at ``path``; give its facts, and what follows.

    Raises ``Unusable``, and ``OSError`` where it cannot be read.
    """
    with path.open("rb") as file:
        source = FileSource(file, form.key, form.seals)
        yield take_facts(source, "facts", Facts), source


def fill(table: Table, source: Source) -> None:
    """Read into the empty ``table`` what follows the facts. Raises ``Unusable``."""
    table.load(source)
    take_facts(source, "end", bool)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
