"""Run a protocol over files and print its report."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from . import plots
from .asker import Asker, Progress
from .conversations import load_conversations
from .data import DataError, load_pairs, load_stream
from .pairs import Direction, PairReport, run_pairs
from .report import as_json, as_markdown, as_text
from .stream import StreamReport, run_stream
from .tables import (
    ALL,
    SUMMARY,
    Reports,
    Shown,
    Table,
    conversation_tables,
    pair_tables,
    stream_tables,
)

DATA_VARIABLE = "KINDCACHE_EVALDATA"  # folder of the data sets; shortens names in reports
STEPS = 100  # redraws of the progress line per file
TELL_EVERY_S = 10.0  # where it cannot be drawn anew
LOOK_EVERY = 10  # requests: the clock is not free


class Protocol(StrEnum):
    """What to do with the files."""

    PAIRS = "pairs"
    CONVERSATIONS = "conversations"
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
    direction: Direction = Direction.FORWARD  # of pairs and conversations
    limit: int | None = None  # rows per file
    format: Format = Format.TEXT
    shown: Shown = ALL  # which tables; JSON holds everything
    plots: Path | None = None  # folder to write PNGs to
    config: Path | None = None  # only named in the command that the report shows
    out: TextIO | None = None  # None = stdout


async def evaluate(asker: Asker, options: EvaluateOptions) -> int:
    """Run the protocol over every file, print the report, return the exit code.

    A file that cannot be read, or plots that cannot be made, end the run before anything is asked:
    one line on stderr and 1.
    """
    out = options.out or sys.stdout
    try:
        if options.plots is not None:
            plots.prepare(options.plots)
        reports = await _measured(asker, options)
        out.write(_rendered(options, reports))
        out.flush()
        if options.plots is not None:
            _say(plots.draw(options.plots, options.protocol, reports))
    except (DataError, plots.PlotsError) as exc:
        _say([str(exc)])
        return 1
    return 0


async def _measured(asker: Asker, options: EvaluateOptions) -> Reports:
    if options.protocol is Protocol.STREAM:
        return await _streams(asker, options)
    return await _pairs(asker, options)


async def _pairs(asker: Asker, options: EvaluateOptions) -> list[PairReport]:
    load = load_pairs if options.protocol is Protocol.PAIRS else load_conversations
    loaded = [(path, load(path, options.limit)) for path in options.files]
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


def _rendered(options: EvaluateOptions, reports: Reports) -> str:
    if options.format is Format.JSON:
        return as_json(reports)
    tables = _tables(options, reports)
    return as_text(tables) if options.format is Format.TEXT else as_markdown(tables, _line(options))


def _tables(options: EvaluateOptions, reports: Reports) -> list[Table]:
    if options.protocol is Protocol.STREAM:
        streams = [report for report in reports if isinstance(report, StreamReport)]
        return stream_tables(streams, options.shown)
    pairs = [report for report in reports if isinstance(report, PairReport)]
    make = pair_tables if options.protocol is Protocol.PAIRS else conversation_tables
    return make(pairs, options.shown)


def _line(options: EvaluateOptions) -> str:
    words = ["kindcache evaluate", options.protocol, *(_shown(path) for path in options.files)]
    if options.config is not None:
        words.append(f"--config {options.config}")
    if options.direction is not Direction.FORWARD:
        words.append(f"--direction {options.direction}")
    if options.limit is not None:
        words.append(f"--limit {options.limit}")
    if options.shown == SUMMARY:
        words.append("--summary")
    else:
        words += [f"--by {name.replace(' ', '-')}" for name in options.shown.groups or ()]
    return " ".join([*words, "--markdown"])


def _say(lines: Sequence[str]) -> None:
    sys.stderr.write("".join(f"kindcache evaluate: {line}\n" for line in lines))


def _name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _shown(path: Path) -> str:
    folder = os.environ.get(DATA_VARIABLE, "")
    if folder and path.resolve().is_relative_to(Path(folder).resolve()):
        return f"${DATA_VARIABLE}/{path.resolve().relative_to(Path(folder).resolve())}"
    return str(path)


def terminal(err: TextIO, name: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return a progress line on ``err``; where that is no terminal, a line every ten seconds."""
    at_a_terminal, told_s = err.isatty(), clock()

    def show(done: int, expected: int) -> None:
        if done % max(1, expected // STEPS) == 0 or done == expected:
            err.write(f"\r{name}: {done:,} of {expected:,}" + ("\n" if done == expected else ""))
            err.flush()

    def tell(done: int, expected: int) -> None:
        nonlocal told_s
        if done % LOOK_EVERY == 0 and clock() - told_s >= TELL_EVERY_S:
            told_s = clock()
            err.write(f"{name}: {done:,} of {expected:,}\n")
            err.flush()

    return show if at_a_terminal else tell
