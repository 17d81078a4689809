"""A simulation from the command line: a log, policies, a report."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...config.load import default_path, load
from ...config.settings import Settings
from ..evaluation.evaluate import terminal
from ..evaluation.report import as_text, plain
from . import page
from .example import example
from .figures import PolicyReport, report
from .known_models import KnownModels
from .replaying import Replayed, replay
from .request_log import LogError, RequestLog, read_log
from .tables import notes, tables
from .virtual_time import run as run_on_virtual_time


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What to simulate."""

    log: Path
    policies: tuple[Path, ...] = ()  # none: the shipped one
    html: Path | None = None  # file to write a report to
    json: bool = False
    skip_bad: bool = False  # leave out lines that cannot be used
    under_load: bool = False  # let load relax categories that allow it


def simulate(options: SimulateOptions) -> int:
    """Replay the log under each policy and print the report; return the exit code.

    What cannot be read or written ends the run before anything is replayed: one line on stderr
    and 1. Raises ``ConfigError`` and ``StartupError``.
    """
    began_s = time.perf_counter()
    try:
        policies = [(path, load(path)) for path in options.policies or (default_path(),)]
        if options.html is not None:
            page.prepare(options.html)
        log = read_log(options.log, skip_bad=options.skip_bad)
        names = _names([path for path, _ in policies])
        replayed = _replayed(log, names, [settings for _, settings in policies], options)
        reports = [
            report(name, log.requests, one) for name, one in zip(names, replayed, strict=True)
        ]
        sys.stdout.write(_printed(log, reports, as_json=options.json))
        if options.html is not None:
            page.write(options.html, log, replayed, reports)
            _say(f"wrote {options.html}")
    except (LogError, page.PageError) as exc:
        _say(str(exc))
        return 1
    _say(f"{time.perf_counter() - began_s:.1f} s")
    return 0


def write_example(number: int, seed: int) -> int:
    """Print an example log of ``number`` requests; return the exit code."""
    for line in example(number, seed):
        sys.stdout.write(line + "\n")
    return 0


def _replayed(
    log: RequestLog, names: Sequence[str], policies: Sequence[Settings], options: SimulateOptions
) -> list[Replayed]:
    with KnownModels(os.environ, _say) as models:
        return [
            run_on_virtual_time(
                replay(
                    log,
                    settings,
                    models,
                    os.environ,
                    under_load=options.under_load,
                    progress=terminal(sys.stderr, name),
                )
            )
            for name, settings in zip(names, policies, strict=True)
        ]


def _printed(log: RequestLog, reports: Sequence[PolicyReport], *, as_json: bool) -> str:
    said = notes(log, reports)
    if as_json:
        whole = {"log": log.name, "notes": said, "policies": [plain(one) for one in reports]}
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    return as_text(tables(reports)) + "\n" + "".join(f"{note}\n" for note in said)


def _names(paths: Sequence[Path]) -> list[str]:
    """Return short names that tell the policies apart."""
    short = [path.name for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    return [
        name if name not in names[:place] else f"{name} ({names[:place].count(name) + 1})"
        for place, name in enumerate(names)
    ]


def _say(line: str) -> None:
    print(f"kindcache simulate: {line}", file=sys.stderr)
