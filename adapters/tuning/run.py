"""``kindcache tune``: collect evidence, propose bars, show the change. Never changes a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from ...cache.errors import StoreError
from ...cache.learning.fact import instrument
from ...cache.ports import Clock
from ...cache.scorers import shipped
from ...config.load import default_path, load
from ...config.settings import Settings
from ...policies.tally import Tally
from ..evaluation.data import DataError, load_pairs
from ..evaluation.engine_asker import EngineAsker
from ..evaluation.evaluate import terminal
from ..evaluation.pairs import ask_pairs
from ..evaluation.run import in_memory
from .observations import labelled, load_observations, tallies
from .offer import offered, unified
from .propose import Proposal, categories_with_a_rate, propose
from .report import as_json, as_table
from .stored_evidence import counts, kept
from .yaml_edit import EditError


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """Where the evidence is, and what it shall be measured against."""

    files: tuple[Path, ...] = ()  # labelled pairs
    observations: tuple[Path, ...] = ()  # exported logs
    store: bool = False  # what a running cache has collected
    config: Path | None = None  # policy file; None = the shipped one
    rate: float | None = None  # for all categories; None = each one's own max_error_rate
    json: bool = False
    out: TextIO | None = None  # None = stdout


class TuneError(Exception):
    """Nothing can be proposed; the message says why and what to do."""


@dataclass(slots=True)
class _Evidence:
    tallies: dict[str, Tally] = field(default_factory=dict)  # by category
    notes: list[str] = field(default_factory=list)  # what the reader must know of it

    def add(self, found: Mapping[str, Tally]) -> None:
        for name, tally in found.items():
            self.tallies[name] = self.tallies.get(name, Tally()).merge(tally)


async def run(options: TuneOptions, clock: Clock = time.time) -> int:
    """Print the proposal; return the exit code. Problems are one line on stderr."""
    try:
        return await _tune(options, clock)
    except (TuneError, DataError, StoreError) as exc:
        _say(str(exc))
        return 1


async def _tune(options: TuneOptions, clock: Clock) -> int:
    path = options.config or default_path()
    settings = load(path)
    _check(options, settings)
    found = await _collected(options, settings, clock)
    proposals = propose(settings, found.tallies, options.rate)
    old = path.read_bytes().decode()
    problem = ""
    try:
        day = datetime.fromtimestamp(clock(), UTC).date().isoformat()
        diff = unified(old, offered(old, settings, proposals, day), str(path))
    except EditError as exc:
        diff, problem = "", f"{path} cannot be edited line by line ({exc}): set the bars by hand"
    _print(options, proposals, found.notes, diff, problem)
    if problem:
        raise TuneError(problem)
    return 0


def _check(options: TuneOptions, settings: Settings) -> None:
    """Raise ``TuneError`` for what cannot succeed, before anything is loaded."""
    if not (options.files or options.observations or options.store):
        raise TuneError("nothing to learn from: name labelled files, --observations or --store")
    scorer = settings.judge.scorer
    if scorer == "none" or (scorer == "shipped" and not shipped.is_here()):
        raise TuneError(
            "no scorer decides (judge.scorer, or its weights are not here), so there is no "
            "probability to set a bar for; the bar is similarity_threshold: "
            "see `kindcache evaluate pairs`"
        )
    if not categories_with_a_rate(propose(settings, {}, options.rate)):
        raise TuneError("no category has a max_error_rate; set one, or give --rate, such as 1%")


async def _collected(options: TuneOptions, settings: Settings, clock: Clock) -> _Evidence:
    evidence = _Evidence()
    for path in options.observations:
        evidence.add(tallies(load_observations(path, settings)))
    if options.files or options.store:
        await _from_cache(options, settings, clock, evidence)
    unknown = evidence.tallies.keys() - set(settings.category_names)
    if unknown:
        names = ", ".join(sorted(unknown))
        evidence.notes.append(f"left out, as the policy file has no such category: {names}")
    return evidence


async def _from_cache(
    options: TuneOptions, settings: Settings, clock: Clock, evidence: _Evidence
) -> None:
    """Add what needs the embedder and the scorer of the policy file."""
    loaded = [(path, load_pairs(path)) for path in options.files]
    counters = await counts(settings.store) if options.store else {}
    async with in_memory(settings) as service:
        asker = EngineAsker(service.engine)
        for path, pairs in loaded:
            rows = await ask_pairs(asker, pairs, progress=terminal(sys.stderr, path.name))
            seen = labelled(rows)
            evidence.add(tallies(seen))
            count = f"{len(seen):,} of {len(rows):,}"
            evidence.notes.append(
                f"{path}: {count} pairs count: those that the judge was asked about"
            )
        scorer, embedder = service.engine.decider.scorer, service.engine.embedder
        found = kept(counters, instrument(scorer, embedder), settings, clock())
    evidence.add(found.tallies)
    if found.of_others:
        evidence.notes.append(
            f"left out: {found.of_others:,} observations in the store by another scorer or embedder"
        )


def _print(
    options: TuneOptions,
    proposals: Sequence[Proposal],
    notes: Sequence[str],
    diff: str,
    problem: str,
) -> None:
    out = options.out or sys.stdout
    if options.json:
        out.write(as_json(proposals, notes, diff, problem))
    else:
        out.write(as_table(proposals) + "\n")
        out.write("".join(f"{note}\n" for note in notes))
        if not problem:
            out.write(f"\n{diff}" if diff else "Nothing to change.\n")
    out.flush()
    if diff and not options.json:
        copied = "" if options.config else " (the shipped file: copy it and name it by --config)"
        path = options.config or "POLICY.yaml"
        _say(
            f"no file was changed; to apply, save this output and run: patch {path} OUTPUT{copied}"
        )


def _say(line: str) -> None:
    sys.stderr.write(f"kindcache tune: {line}\n")
