"""Run a protocol over files and print its report."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from .asker import Asker, Progress, silent
from .data import DataError, load_pairs, load_stream
from .pairs import Direction, PairReport, run_pairs
from .report import as_json, as_markdown, as_text, pair_tables, stream_tables
from .stream import StreamReport, run_stream

DATA_VARIABLE = "KINDCACHE_EVALDATA"  # folder of the data sets; shortens names in reports
STEPS = 100  # redraws of the progress line per file


class Protocol(StrEnum):
    """What to do with the files."""

    PAIRS = "pairs"
    STREAM = "stream"


class Format(StrEnum):
    """How to print the report."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What to evaluate."""

    protocol: Protocol
    files: tuple[Path, ...]
    direction: Direction = Direction.FORWARD  # pairs only
    limit: int | None = None  # rows per file
    format: Format = Format.TEXT
    config: Path | None = None  # only named in the command that the report shows
    out: TextIO | None = None  # None = stdout


async def evaluate(asker: Asker, options: EvaluateOptions) -> int:
    """Run the protocol over every file, print the report, return the exit code.

    A file that cannot be read ends the run before anything is asked: one line on stderr and 1.
    """
    out = options.out or sys.stdout
    try:
        if options.protocol is Protocol.PAIRS:
            pairs = await _pairs(asker, options)
            text = _rendered(options, pairs)
        else:
            text = _rendered(options, await _streams(asker, options))
    except DataError as exc:
        sys.stderr.write(f"kindcache evaluate: {exc}\n")
        return 1
    out.write(text)
    out.flush()
    return 0


async def _pairs(asker: Asker, options: EvaluateOptions) -> list[PairReport]:
    loaded = [(path, load_pairs(path, options.limit)) for path in options.files]
    return [
        await run_pairs(
            asker,
            pairs,
            source=_name(path),
            direction=options.direction,
            progress=terminal(sys.stderr, _name(path)),
        )
        for path, pairs in loaded
    ]


async def _streams(asker: Asker, options: EvaluateOptions) -> list[StreamReport]:
    loaded = [(path, load_stream(path, options.limit)) for path in options.files]
    return [
        await run_stream(
            asker, queries, source=_name(path), progress=terminal(sys.stderr, _name(path))
        )
        for path, queries in loaded
    ]


def _rendered(
    options: EvaluateOptions, reports: Sequence[PairReport] | Sequence[StreamReport]
) -> str:
    if options.format is Format.JSON:
        return as_json(reports)
    tables = pair_tables([r for r in reports if isinstance(r, PairReport)])
    tables += stream_tables([r for r in reports if isinstance(r, StreamReport)])
    return as_text(tables) if options.format is Format.TEXT else as_markdown(tables, _line(options))


def _line(options: EvaluateOptions) -> str:
    words = ["kindcache evaluate", options.protocol, *(_shown(path) for path in options.files)]
    if options.config is not None:
        words.append(f"--config {options.config}")
    if options.direction is Direction.BOTH:
        words.append("--direction both")
    if options.limit is not None:
        words.append(f"--limit {options.limit}")
    return " ".join([*words, "--markdown"])


def _name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _shown(path: Path) -> str:
    folder = os.environ.get(DATA_VARIABLE, "")
    if folder and path.resolve().is_relative_to(Path(folder).resolve()):
        return f"${DATA_VARIABLE}/{path.resolve().relative_to(Path(folder).resolve())}"
    return str(path)


def terminal(err: TextIO, name: str) -> Progress:
    """Return a progress line on ``err``, silence when that is no terminal."""
    if not err.isatty():
        return silent

    def show(done: int, expected: int) -> None:
        if done % max(1, expected // STEPS) == 0 or done == expected:
            err.write(f"\r{name}: {done:,} of {expected:,}" + ("\n" if done == expected else ""))
            err.flush()

    return show
