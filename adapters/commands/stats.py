"""``kindcache stats``: what a running cache knows about its categories, as a table."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import aiohttp

from .grid import Column, grid
from .stats_economics import economics

TOKEN_VARIABLE = "KINDCACHE_ADMIN_TOKEN"  # noqa: S105 - the name of a variable
TIMEOUT_S = 10.0
_NONE = "-"
_COLUMNS: tuple[Column, ...] = (
    ("category", str.ljust),
    ("entries", str.rjust),
    ("hits", str.rjust),
    ("bar", str.rjust),
    ("set by", str.ljust),
    ("at most wrong", str.rjust),
    ("precision %", str.ljust),
    ("checks", str.rjust),
    ("shadow", str.rjust),
    ("feedback", str.rjust),
)
_NOTE = (
    "Hits are those by meaning; checks, shadow and feedback are right/wrong; all within the window"
    " of\nthe evidence. Precision is that of checked hits, with its 95 % interval."
)


class StatsError(Exception):
    """There are no figures to show; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class StatsOptions:
    """Whom to ask, and how to show what it says."""

    url: str = "http://127.0.0.1:8080"
    as_json: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    out: TextIO | None = None  # None = stdout


async def stats(options: StatsOptions) -> int:
    """Show the figures; return the exit code: 1, with one line on stderr, when there are none."""
    out = options.out or sys.stdout
    try:
        found = await _fetched(options)
        text = json.dumps(found, indent=2) if options.as_json else table(found)
    except StatsError as exc:
        sys.stderr.write(f"kindcache stats: {exc}\n")
        return 1
    out.write(f"{text}\n")
    return 0


def table(found: Mapping[str, Any]) -> str:
    """Lay out what ``GET /_cache/stats`` said. Raises ``StatsError`` for anything else."""
    try:
        entries: Mapping[str, int] = found["entries_by_category"]
        rows = [_row(name, entries, known) for name, known in found["evidence"].items()]
        gone = [name for name in entries if name not in found["evidence"]]
        rows += [[name, str(entries[name])] + [_NONE] * (len(_COLUMNS) - 2) for name in gone]
        parts = (_state(found), grid(_COLUMNS, rows), _NOTE, economics(found.get("economics", {})))
        return "\n\n".join(filter(None, parts))
    except (KeyError, TypeError, AttributeError) as exc:
        raise StatsError("that server answers, but not with the figures of a cache") from exc


def _state(found: Mapping[str, Any]) -> str:
    problems = f" ({', '.join(found['problems'])})" if found["problems"] else ""
    megabytes = found["stored_bytes"] / 1e6
    return (
        f"{found['status']}{problems}, index {found['index']}: {found['entries']} entries,"
        f" {megabytes:.1f} MB, {found['writes_waiting']} writes waiting{_workers(found)}"
    )


def _workers(found: Mapping[str, Any]) -> str:
    workers = found.get("workers")
    if not workers:
        return ""
    answered = sum("entries" in one for one in workers.values())
    return (
        f"; {answered} of {len(workers)} workers answered, entries as worker {found['worker']} has"
    )


def _row(name: str, entries: Mapping[str, int], known: Mapping[str, Any]) -> list[str]:
    rate, precision, observed = known["max_error_rate"], known["precision"], known["observations"]
    return [
        name,
        str(entries.get(name, 0)),
        str(known["hits"]),
        "closed" if known["bar"] > 1.0 else f"{known['bar']:.4g}",
        _set_by(known),
        _NONE if rate is None else f"{100 * rate:g}%",
        _NONE if precision is None else _share(precision),
        *(_counts(observed.get(source)) for source in ("check", "shadow", "feedback")),
    ]


def _set_by(known: Mapping[str, Any]) -> str:
    if known["alarm"]:
        return "ALARM"
    if known["max_error_rate"] is None:
        return "policy"
    return "evidence" if known["certified"] else "policy, too little evidence"


def _share(precision: Mapping[str, float]) -> str:
    value, low, high = (100 * precision[name] for name in ("value", "lower", "upper"))
    return f"{value:.1f} ({low:.1f}-{high:.1f})"


def _counts(observed: Mapping[str, int] | None) -> str:
    return _NONE if observed is None else f"{observed['right']}/{observed['wrong']}"


async def _fetched(options: StatsOptions) -> Mapping[str, Any]:
    token = options.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise StatsError(f"set {TOKEN_VARIABLE} to the token that the cache was started with")
    address = f"{options.url.rstrip('/')}/_cache/stats"
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(address, headers=headers) as response,
        ):
            if response.status != 200:
                raise StatsError(_refusal(address, response.status))
            return _mapping(await response.json(content_type=None))
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        raise StatsError(f"{address} cannot be reached: {type(exc).__name__}") from exc
    except ValueError as exc:
        raise StatsError(f"{address} is no address, or answers something else than JSON") from exc


def _refusal(address: str, status: int) -> str:
    if status == 401:
        return f"{address} does not accept the token in {TOKEN_VARIABLE}"
    if status == 404:
        return f"{address} is not there: was the cache started with {TOKEN_VARIABLE}?"
    return f"{address} answers with status {status}"


def _mapping(found: object) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise StatsError("that server answers, but not with the figures of a cache")
    return found
