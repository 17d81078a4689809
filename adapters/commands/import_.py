"""``kindcache import``: entries of an export, or questions and answers, into a store."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TextIO, TypeVar

from ...cache.errors import KindcacheError
from ...config.settings import Settings
from ..moving.codes import line_key
from ..moving.importing import Importer, numbered
from ..moving.lines import BadLine, Counts, decode_entry, decode_header, decode_seed
from ..moving.place import Place, place
from ..moving.progress import Told, progress
from ..moving.seeding import Seeder
from .erase import headers_in
from .server import UPSTREAM_VARIABLE

T = TypeVar("T")
STDIN = Path("-")
AT_ONCE = 64  # entries looked up and written together

Lines = Iterator[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What to read, and for whom."""

    file: Path  # "-" = stdin
    config: Path | None = None
    skip_bad: bool = False
    shared: bool = False  # questions and answers: for callers without a credential
    upstream: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    given: TextIO | None = None  # where the credential is read; None = stdin


class Stopped(KindcacheError):
    """A line cannot be taken; those before it were."""


async def import_(options: ImportOptions) -> int:
    """Read the file into the store; return the exit code. What is there already is left.

    Raises ``KindcacheError``; what was taken before that stays, and the file can be read again.
    """
    target, counts = place(options.config, options.environ, must_exist=False), Counts()
    try:
        with _opened(options.file) as (file, size), progress("importing", size) as told:
            lines = _followed(numbered(file), told)
            first = next(lines, None)
            if first is not None:
                await _import(options, target, first, lines, counts)
    finally:
        if counts.taken or counts.left:
            sys.stderr.write(f"kindcache import: {counts}\n")
    return 0


async def _import(
    options: ImportOptions,
    target: Place,
    first: tuple[int, bytes],
    lines: Lines,
    counts: Counts,
) -> None:
    try:
        header = decode_header(first[1], target.secret)
    except BadLine as exc:
        raise Stopped(f"{options.file}:{first[0]}: {exc}") from exc
    if header is None:
        await _seed(options, target, chain([first], lines), counts)
        return
    importer = Importer(target.store, target.embedder(), time.time, counts)
    await target.store.open()
    try:
        await importer.begin(header, target.secret)
        decode = partial(decode_entry, key=line_key(target.secret, header.epoch))
        for some in _batches(_read(options, lines, counts, decode)):
            await importer.take(some)
    finally:
        await importer.aclose()
        await target.store.aclose()


async def _seed(options: ImportOptions, target: Place, lines: Lines, counts: Counts) -> None:
    if options.file == STDIN and not options.shared and options.given is None:
        raise Stopped("stdin has the questions, so the caller cannot be read there: name a file")
    given = "" if options.shared else (options.given or sys.stdin).read()
    headers = headers_in(given)
    if not headers and not options.shared:
        raise Stopped(
            "stdin names no caller for these questions: give an API key or headers, one a line, or"
            " say --shared"
        )
    seeder = Seeder(
        _for(options, target), headers, _upstream(options, target), options.environ, counts
    )
    await seeder.open()
    try:
        for number, line in lines:
            try:
                await seeder.take(decode_seed(line))
            except BadLine as exc:
                _bad(options, number, exc, counts)
    finally:
        await seeder.aclose()


def _for(options: ImportOptions, target: Place) -> Settings:
    """Return the settings; of the shipped ones as ``serve`` has them on this machine."""
    settings = target.settings
    scope = settings.scope
    if not options.shared or scope.by == "shared" or scope.anonymous == "share":
        return settings
    if target.named:
        raise Stopped(
            "--shared: these settings give nothing to callers without a credential; see"
            " scope.anonymous and scope.by"
        )
    shared = scope.model_copy(update={"anonymous": "share"})
    return settings.model_copy(update={"scope": shared})


def _upstream(options: ImportOptions, target: Place) -> str:
    named = options.upstream or options.environ.get(UPSTREAM_VARIABLE)
    if named is None and target.named and "base_url" in target.settings.upstream.model_fields_set:
        named = target.settings.upstream.base_url
    if named is None:
        raise Stopped(
            "--upstream is needed: answers of one upstream are given for no other. It is what"
            " `kindcache serve` was told, or `app` for the middleware"
        )
    return named


def _read(
    options: ImportOptions, lines: Lines, counts: Counts, decode: Callable[[bytes], T]
) -> Iterator[T]:
    for number, line in lines:
        try:
            yield decode(line)
        except BadLine as exc:
            _bad(options, number, exc, counts)


def _bad(options: ImportOptions, number: int, exc: BadLine, counts: Counts) -> None:
    if not options.skip_bad:
        raise Stopped(f"{options.file}:{number}: {exc}") from exc
    counts.leave("bad")


def _batches(entries: Iterator[T]) -> Iterator[Sequence[T]]:
    """Group ``entries``; those before one that ends the import come all the same."""
    some: list[T] = []
    try:
        for entry in entries:
            some.append(entry)
            if len(some) == AT_ONCE:
                yield some
                some = []
    except Stopped:
        yield some
        raise
    yield some


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    if path == STDIN:
        yield sys.stdin.buffer, None
        return
    try:
        with path.open("rb") as file:
            yield file, path.stat().st_size
    except OSError as exc:
        raise Stopped(f"{path}: cannot be read: {exc.strerror}") from exc


def _followed(lines: Lines, told: Told) -> Lines:
    done = 0
    for number, line in lines:
        yield number, line
        done += len(line)
        told(done)
