"""Observations: from labelled pairs asked through the serving code, and from exported logs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from ...config.settings import Settings
from ...policies.calibration import Cell, Tally, cell_of
from ...policies.observation import Observation, Source
from ..evaluation.data import read_rows
from ..evaluation.pairs import PairRow

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an exported log."""

    category: Annotated[str, msgspec.Meta(min_length=1)]
    probability: Share  # what the judge gave before anything was known
    correct: bool
    source: Source
    bar: Share | None = None  # in force when a hit was served and checked


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation, and the bar in force when it was made."""

    observation: Observation
    bar: float


def load_observations(path: Path, settings: Settings) -> list[Seen]:
    """Read a log, .jsonl or .jsonl.gz. Raises ``DataError``, which names file and line."""
    decoder = msgspec.json.Decoder(Row)

    def decode(line: bytes) -> Seen:
        return _seen(decoder.decode(line), settings)

    return read_rows(path, decode, None)


def labelled(rows: Iterable[PairRow]) -> list[Seen]:
    """Return what asked pairs show. A pair that the judge was not asked about shows nothing."""
    return [
        Seen(
            Observation(
                category=row.asked.category,
                probability=row.asked.probability,
                correct=bool(row.pair.label),
                source=Source.LABEL,
                served=False,
            ),
            bar=0.0,
        )
        for row in rows
        if row.asked.probability is not None
    ]


def tallies(seen: Sequence[Seen]) -> Mapping[str, Tally]:
    """Count observations by category."""
    cells: dict[str, Counter[Cell]] = defaultdict(Counter)
    for one in seen:
        cells[one.observation.category][cell_of(one.observation, one.bar)] += 1
    return {name: Tally(counts) for name, counts in cells.items()}


def _seen(row: Row, settings: Settings) -> Seen:
    # A checked hit tells nothing of bars below the one that it passed, so that must be known. The
    # file's is the one, unless evidence moved it while the cache ran.
    bar = row.bar
    if bar is None and row.source is Source.CHECK and row.category in settings.category_names:
        policy = settings.effective(row.category)
        if policy.max_error_rate is not None:
            raise msgspec.ValidationError(
                "a check of a category with max_error_rate needs `bar`, the one in force then"
            )
        bar = policy.min_probability
    served = row.source is Source.CHECK or (row.source is Source.FEEDBACK and bar is not None)
    observation = Observation(row.category, row.probability, row.correct, row.source, served)
    return Seen(observation, bar or 0.0)
