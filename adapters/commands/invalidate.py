"""``kindcache invalidate``: take stored answers out of a running cache, for all who share it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import aiohttp

from .erase import headers_in
from .stats import TOKEN_VARIABLE

TIMEOUT_S = 300.0  # all records of a large store are read
_LISTS = ("entry", "category", "model", "tag")
_VALUES = ("pattern", "like", "at_least", "older_than")
_FLAGS = ("all", "dry_run", "show_prompts")


class InvalidateError(Exception):
    """It is not known to be done; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class InvalidateOptions:
    """Whom to ask, and what is to go. None and empty = not given."""

    url: str = "http://127.0.0.1:8080"
    entry: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    pattern: str | None = None
    like: str | None = None
    at_least: float | None = None
    older_than: str | None = None
    scope: bool = False  # of the caller whose headers ``given`` has
    user: str = ""
    namespace: str = ""
    all: bool = False
    dry_run: bool = False
    show_prompts: bool = False
    as_json: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    given: TextIO | None = None  # None = stdin
    out: TextIO | None = None  # None = stdout


async def invalidate(options: InvalidateOptions) -> int:
    """Invalidate, and say what went; 1, with one line on stderr, where that fails."""
    out = options.out or sys.stdout
    try:
        told = await _asked(options, _body(options))
        out.write(json.dumps(told, indent=2) + "\n" if options.as_json else _text(told))
    except InvalidateError as exc:
        sys.stderr.write(f"kindcache invalidate: {exc}\n")
        return 1
    return 0


def _body(options: InvalidateOptions) -> dict[str, Any]:
    body: dict[str, Any] = {
        name: list(values) for name in _LISTS if (values := getattr(options, name))
    }
    body |= {name: value for name in _VALUES if (value := getattr(options, name)) is not None}
    body |= {name: True for name in _FLAGS if getattr(options, name)}
    if options.scope:
        body["scope"] = _scope(options)
    elif options.user or options.namespace:
        raise InvalidateError("--user and --namespace are those of a caller: give --scope too")
    return body


def _scope(options: InvalidateOptions) -> dict[str, Any]:
    headers = headers_in((options.given or sys.stdin).read())
    scope: dict[str, Any] = {"headers": headers}
    scope |= {"user": options.user} if options.user else {}
    scope |= {"namespace": options.namespace} if options.namespace else {}
    if scope == {"headers": {}}:  # where anonymous callers share it would name all of them
        raise InvalidateError("stdin names no caller: give his API key or headers, one a line")
    return scope


def _text(told: Mapping[str, Any]) -> str:
    """Render what the cache said, for people. Raises ``InvalidateError`` for another shape."""
    try:
        verb = "would remove" if told["dry_run"] else "removed"
        lines = [f"{verb} {told['matched']} entries"]
        lines += [f"  {count:8} {name}" for name, count in told["by_category"].items()]
        if told["everything"] and not told["dry_run"]:
            lines.append("everything that was asked before is out of reach")
        if told["undecided"]:
            lines.append(
                f"{told['undecided']} without a vector are compared when they are asked for"
            )
        lines += [_entry(one) for one in told["entries"]]
    except (KeyError, TypeError, AttributeError) as exc:
        raise InvalidateError("this is no answer of a cache") from exc
    return "\n".join(lines) + "\n"


def _entry(one: Any) -> str:
    if isinstance(one, str):
        return f"  {one}"
    return f"  {one['entry']}  {one['category']}  {one['prompt']!r}"


async def _asked(options: InvalidateOptions, body: Mapping[str, Any]) -> dict[str, Any]:
    token = options.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise InvalidateError(f"set {TOKEN_VARIABLE} to the token that the cache was started with")
    address = f"{options.url.rstrip('/')}/_cache/invalidate"
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(address, headers=headers, json=body) as response,
        ):
            told = await response.json(content_type=None)
            if response.status == 200:
                return dict(told)
            why = told["error"] if response.status in {400, 401, 503} else "it is not there"
            raise InvalidateError(f"{address} answers with status {response.status}: {why}")
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        raise InvalidateError(f"{address} cannot be reached: {type(exc).__name__}") from exc
    except (ValueError, TypeError, KeyError) as exc:
        raise InvalidateError(f"{address} is no address, or not one of a cache") from exc
