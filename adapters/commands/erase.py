"""``kindcache erase``: erase what one caller asked, in a running cache and its store."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import aiohttp

from .stats import TOKEN_VARIABLE

TIMEOUT_S = 900.0  # a large file is written anew


class EraseError(Exception):
    """Nothing is known to be erased; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class EraseOptions:
    """Whom to ask, and whose answers are meant beside what stdin says."""

    url: str = "http://127.0.0.1:8080"
    user: str = ""
    namespace: str = ""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    given: TextIO | None = None  # None = stdin
    out: TextIO | None = None  # None = stdout


async def erase(options: EraseOptions) -> int:
    """Erase, and say how many entries there were; 1, with one line on stderr, where that fails."""
    given, out = options.given or sys.stdin, options.out or sys.stdout
    try:
        removed = await _asked(options, _body(options, given.read()))
    except EraseError as exc:
        sys.stderr.write(f"kindcache erase: {exc}\n")
        return 1
    out.write(f"erased {removed} entries\n")
    return 0


def headers_in(text: str) -> dict[str, str]:
    """Read credential headers, one a line; a line without a colon is an API key."""
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
        else:
            found["authorization"] = f"Bearer {line}"
    return found


def _body(options: EraseOptions, given: str) -> dict[str, Any]:
    body: dict[str, Any] = {"headers": headers_in(given)}
    body |= {"user": options.user} if options.user else {}
    body |= {"namespace": options.namespace} if options.namespace else {}
    if body == {"headers": {}}:  # where anonymous callers share it would name all of them
        raise EraseError("stdin names no caller: give his API key or headers, one a line")
    return body


async def _asked(options: EraseOptions, body: Mapping[str, Any]) -> int:
    token = options.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise EraseError(f"set {TOKEN_VARIABLE} to the token that the cache was started with")
    address = f"{options.url.rstrip('/')}/_cache/erase"
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(address, headers=headers, json=body) as response,
        ):
            told = await response.json(content_type=None)
            if response.status == 200:
                return int(told["removed"])
            why = told["error"] if response.status in {400, 401, 503} else "it is not there"
            raise EraseError(f"{address} answers with status {response.status}: {why}")
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        raise EraseError(f"{address} cannot be reached: {type(exc).__name__}") from exc
    except (ValueError, TypeError, KeyError) as exc:
        raise EraseError(f"{address} is no address, or not one of a cache") from exc
