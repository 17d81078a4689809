"""The log that is replayed: one JSON object a line. Nothing in it is guessed.

docs/simulate.md explains the fields. Messages name file and line, and hold nothing of a prompt.
"""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ...cache.errors import KindcacheError
from ..asgi import Headers
from ..evaluation.chat import PATH

EARLIEST_MS = 1e11  # as seconds it is the year 5138, as milliseconds 1973
LONGEST_S = 86_400.0  # of one answer; a larger figure has another unit


class LogError(KindcacheError):
    """A log that cannot be replayed; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One request, and what is known of its answer."""

    line: int
    at_s: float  # Unix time of its arrival
    body: bytes  # as the client sent it
    prompt: str = ""  # the last message's text, "" = it is none
    principal: str | None = None  # sent as a credential; None = none was logged
    headers: Headers = ()
    path: str = PATH
    latency_s: float | None = None  # what the model took for the whole answer; None = not known
    tokens: int | None = None  # in all; None = not known
    usage: dict[str, Any] | None = None
    status: int = 200
    key: str | None = None  # of equal keys one answer serves both; None = not known
    answer: str | dict[str, Any] | None = None  # a text or a whole response; None = not known
    category: str = ""  # the true one, "" = not known


@dataclass(frozen=True, slots=True)
class RequestLog:
    """The requests of a file, by time."""

    name: str
    requests: tuple[Logged, ...]
    late: int = 0  # lines with an earlier time than one before them
    bad: int = 0  # lines that were left out
    first_bad: str = ""  # what was wrong with the first of them, "FILE:LINE: …"

    @property
    def span_s(self) -> float:
        """Return the seconds from the first request to the last."""
        return self.requests[-1].at_s - self.requests[0].at_s


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    time: float | str
    request: dict[str, Any] | None = None
    prompt: str | None = None
    model: str | None = None
    principal: str | None = None
    user: str | None = None
    namespace: str | None = None
    headers: dict[str, str] | None = None
    path: str | None = None
    latency_s: float | None = None
    usage: dict[str, Any] | None = None
    status: int | None = None
    key: str | int | None = None
    answer: str | dict[str, Any] | None = None
    category: str | None = None
    id: Any = None  # the user's own


class _Bad(Exception):
    """A line cannot be used; the message says why, without its text."""


def read_log(path: Path, *, skip_bad: bool = False) -> RequestLog:
    """Read ``path`` (.jsonl or .jsonl.gz). Raises ``LogError``.

    ``skip_bad``: lines that cannot be used are counted and left out instead.
    """
    requests: list[Logged] = []
    late = bad = 0
    first_bad = ""
    latest_s = float("-inf")
    for number, line in _lines(path):
        try:
            request = _read(number, line)
        except _Bad as exc:
            if not skip_bad:
                raise LogError(f"{path}:{number}: {exc}") from exc
            bad += 1
            first_bad = first_bad or f"{path}:{number}: {exc}"
            continue
        late += request.at_s < latest_s
        latest_s = max(latest_s, request.at_s)
        requests.append(request)
    if not requests:
        raise LogError(f"{path}: no requests" + (f"; {first_bad}" if first_bad else ""))
    requests.sort(key=lambda request: request.at_s)
    return RequestLog(path.name, tuple(requests), late, bad, first_bad)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with _readable(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(BOM_UTF8) if number == 1 else line  # as some editors write
            if text.strip():
                yield number, text


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise LogError(f"{path}: damaged gzip data") from exc
    except OSError as exc:
        raise LogError(f"{path}: {exc.strerror or type(exc).__name__}") from exc


_decode = msgspec.json.Decoder(_Line).decode


def _read(number: int, data: bytes) -> Logged:
    try:
        line = _decode(data)
    except msgspec.DecodeError as exc:
        raise _Bad(str(exc)) from exc
    except UnicodeDecodeError as exc:
        raise _Bad("not UTF-8") from exc
    except RecursionError as exc:
        raise _Bad("nested too deeply") from exc
    request = _request(line)
    return Logged(
        line=number,
        at_s=_time_s(line.time),
        body=msgspec.json.encode(request),
        prompt=_prompt(request),
        principal=line.principal,
        headers=_headers(line),
        path=line.path or PATH,
        latency_s=_latency_s(line.latency_s),
        tokens=_tokens(line.usage),
        usage=line.usage,
        status=_status(line.status),
        key=None if line.key is None else str(line.key),
        answer=_answer(line.answer),
        category=line.category or "",
    )


def _time_s(given: float | str) -> float:
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError as exc:
            raise _Bad("`time` is no ISO 8601 time") from exc
        if moment.tzinfo is None:
            raise _Bad("`time` has no time zone: end it with Z or an offset such as +02:00")
        given = moment.timestamp()
    if not 0.0 <= given < EARLIEST_MS:
        raise _Bad("`time` is no Unix time in seconds")
    return given


def _request(line: _Line) -> dict[str, Any]:
    """Return the body: the one that was logged, or the shortest that asks ``prompt``."""
    if (line.request is None) == (line.prompt is None):
        raise _Bad("needs either `request` or `prompt`")
    if line.request is None:
        messages = [{"role": "user", "content": line.prompt}]
        request: dict[str, Any] = {"model": line.model or "model", "messages": messages}
    else:
        request = dict(line.request)
        if line.model is not None:
            raise _Bad("`model` stands in `request`, not beside it")
        if not isinstance(request.get("messages"), list):
            raise _Bad("`request` has no list of `messages`")
    if line.user is not None:
        _add(request, "user", line.user)
    if line.namespace is not None:
        control = request.setdefault("cache", {})
        if not isinstance(control, dict):
            raise _Bad("`cache` of `request` is no object")
        request["cache"] = dict(control)
        _add(request["cache"], "namespace", line.namespace)
    return request


def _prompt(request: dict[str, Any]) -> str:
    match request["messages"]:
        case [*_, {"content": str(text)}]:
            return text
    return ""


def _add(target: dict[str, Any], name: str, value: str) -> None:
    if target.get(name, value) != value:
        raise _Bad(f"`{name}` is another one in `request`")
    target[name] = value


def _headers(line: _Line) -> Headers:
    try:
        headers = tuple(
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in (line.headers or {}).items()
        )
    except UnicodeEncodeError as exc:
        raise _Bad("`headers` hold what no header can") from exc
    return headers


def _latency_s(given: float | None) -> float | None:
    if given is not None and not 0.0 <= given <= LONGEST_S:
        raise _Bad("`latency_s` is no number of seconds from 0 to a day")
    return given


def _status(given: int | None) -> int:
    if given is None:
        return 200
    if not 200 <= given <= 599:
        raise _Bad("`status` is no HTTP status of an answer")
    return given


def _tokens(usage: dict[str, Any] | None) -> int | None:
    if usage is None:
        return None
    total = usage.get("total_tokens")
    if total is None:
        parts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        known = [part for part in parts if part is not None]
        return sum(map(_count, known)) if known else None
    return _count(total)


def _count(given: object) -> int:
    if type(given) is not int or given < 0:
        raise _Bad("`usage` holds a number of tokens that is none")
    return given


def _answer(given: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    if isinstance(given, dict) and not isinstance(given.get("choices"), list):
        raise _Bad("`answer` is neither a text nor a response with `choices`")
    return given
