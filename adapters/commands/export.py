"""``kindcache export``: what a store holds, as lines of JSON."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ...cache.errors import KindcacheError
from ..moving.exporting import exported
from ..moving.lines import Counts, fingerprint
from ..moving.place import Place, place
from ..moving.progress import Told, progress

STDOUT = Path("-")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to write, and where to."""

    file: Path  # "-" = stdout
    config: Path | None = None
    vectors: bool = True
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


async def export(options: ExportOptions) -> int:
    """Write the file, whole or not at all; return the exit code."""
    source, counts = place(options.config, options.environ, must_exist=True), Counts()
    await source.store.open()
    try:
        with progress("exporting", None) as told:
            lines = exported(
                source.store, source.secret, time.time, counts, vectors=options.vectors
            )
            if options.file == STDOUT:
                await _write(lines, sys.stdout.buffer, counts, told)
            else:
                await _write_file(lines, options.file, counts, told)
    finally:
        await source.store.aclose()
    sys.stderr.write(f"kindcache export: {counts}\n{_note(source)}\n")
    return 0


def _note(source: Place) -> str:
    return (
        f"kindcache export: of use only under the same secret ({fingerprint(source.secret)}),"
        " upstream, scope settings and embedder; it holds prompts and answers in the clear"
    )


async def _write_file(lines: AsyncIterator[bytes], path: Path, counts: Counts, told: Told) -> None:
    draft = path.with_name(f"{path.name}.part")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            await _write(lines, file, counts, told)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as exc:
        raise KindcacheError(f"{path}: cannot be written: {exc.strerror}") from exc
    finally:
        draft.unlink(missing_ok=True)


async def _write(lines: AsyncIterator[bytes], file: BinaryIO, counts: Counts, told: Told) -> None:
    async for line in lines:
        file.write(line)
        told(counts.taken)
