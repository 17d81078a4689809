"""Labelled data: pairs of prompts, and streams of prompts with the key of their answer."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from .asker import Message

T = TypeVar("T")


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
        """The half of the set it is in."""
        return half_of(self.id)

    @property
    def earlier(self) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """The messages before ``q1``, and those before ``q2``."""
        return (), ()


@dataclass(frozen=True, slots=True)
class Query:
    """One prompt of a stream."""

    id: str
    text: str
    key: str  # what the answer depends on: equal keys share a right answer
    category: str = ""


def half_of(name: str) -> Literal["dev", "final"]:
    """Return the half that a row is in: by an odd or even number at the end of its id."""
    digits = name[len(name.rstrip("0123456789")) :]
    return "dev" if digits and int(digits) % 2 else "final"


def load_pairs(path: Path, limit: int | None = None) -> list[Pair]:
    """Read pairs from ``path`` (.jsonl or .jsonl.gz), the first ``limit``. Raises ``DataError``."""
    return read_rows(path, msgspec.json.Decoder(Pair).decode, limit)


def load_stream(path: Path, limit: int | None = None) -> list[Query]:
    """Read a stream in file order, the first ``limit`` queries. Raises ``DataError``."""
    return read_rows(path, msgspec.json.Decoder(Query).decode, limit)


def read_rows(path: Path, decode: Callable[[bytes], T], limit: int | None) -> list[T]:
    """Read the first ``limit`` rows of ``path``. Raises ``DataError``.

    ``decode`` may raise ``msgspec.DecodeError``, whose message is then shown with file and line.
    """
    rows: list[T] = []
    read = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                if limit is not None and len(rows) >= limit:
                    break
                read += 1
                if line.strip():
                    rows.append(decode(line))
    except msgspec.DecodeError as exc:
        raise DataError(f"{path}:{read}: {exc}") from exc
    except UnicodeDecodeError as exc:
        raise DataError(f"{path}:{read}: not UTF-8") from exc
    except RecursionError as exc:
        raise DataError(f"{path}:{read}: nested too deeply") from exc
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise DataError(f"{path}:{read + 1}: damaged gzip data") from exc
    except OSError as exc:
        raise DataError(f"{path}: {exc.strerror or type(exc).__name__}") from exc
    if not rows:
        raise DataError(f"{path}: no rows")
    return rows
