"""Labelled data: pairs of prompts, and streams of prompts with the key of their answer."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T", "Pair", "Query")


class DataError(Exception):
    """A file cannot be used; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two prompts, and whether a right answer to ``q1`` is a right answer to ``q2``."""

    id: str
    q1: str
    q2: str
    label: Literal[0, 1]  # 1 = one answer serves both; 0 = serving it would be wrong
    kind: str = ""
    category: str = ""

    @property
    def half(self) -> Literal["dev", "final"]:
        """The half of the set it is in: by an odd or even number at the end of ``id``."""
        digits = self.id[len(self.id.rstrip("0123456789")) :]
        return "dev" if digits and int(digits) % 2 else "final"


@dataclass(frozen=True, slots=True)
class Query:
    """One prompt of a stream."""

    id: str
    text: str
    key: str  # what the answer depends on: equal keys share a right answer
    category: str = ""


def load_pairs(path: Path, limit: int | None = None) -> list[Pair]:
    """Read pairs from ``path`` (.jsonl or .jsonl.gz), the first ``limit``. Raises ``DataError``."""
    return _load(path, msgspec.json.Decoder(Pair), limit)


def load_stream(path: Path, limit: int | None = None) -> list[Query]:
    """Read a stream in file order, the first ``limit`` queries. Raises ``DataError``."""
    return _load(path, msgspec.json.Decoder(Query), limit)


def _load(path: Path, decoder: msgspec.json.Decoder[T], limit: int | None) -> list[T]:
    rows: list[T] = []
    read = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                if limit is not None and len(rows) >= limit:
                    break
                read += 1
                if line.strip():
                    rows.append(decoder.decode(line))
    except msgspec.DecodeError as exc:
        raise DataError(f"{path}:{read}: {exc}") from exc
    except UnicodeDecodeError as exc:
        raise DataError(f"{path}:{read}: not UTF-8") from exc
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise DataError(f"{path}:{read + 1}: damaged gzip data") from exc
    except OSError as exc:
        raise DataError(f"{path}: {exc.strerror or type(exc).__name__}") from exc
    if not rows:
        raise DataError(f"{path}: no rows")
    return rows
