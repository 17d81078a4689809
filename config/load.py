"""Read a settings file. All that is wrong with it is one ``ConfigError``.

Each problem is one line: ``FILE:LINE: categories.code.ttl: "5 parsecs": unknown unit ...``.
Importing this imports pydantic: do it where settings are needed, not before.
"""

from __future__ import annotations

import copy
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from .cross_checks import problems as cross_check
from .document import Document, parse
from .explain import explain
from .problems import ConfigError, Path, Problem, dotted
from .settings import Settings

__all__ = ["ConfigError", "default_path", "load", "loads"]

_PRICES = ("economics", "prices")


def default_path() -> FilePath:
    """Return the file of the shipped policies."""
    return FilePath(__file__).with_name("default.yaml")


def load(path: FilePath) -> Settings:
    """Read the settings in the file ``path``. Raises ``ConfigError``."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ConfigError(
            [f"{path}: cannot be read: {exc.strerror or type(exc).__name__}"]
        ) from exc
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8 text"]) from exc
    return loads(text, str(path))


def loads(text: str, source: str) -> Settings:
    """Read the settings in ``text``; messages call it ``source``. Raises ``ConfigError``."""
    document = parse(text, source)
    settings, problems = _validated(document.data)
    reported = {problem.path for problem in problems}
    across = (problem for problem in cross_check(settings) if problem.path not in reported)
    problems = [*document.problems, *problems, *across]
    if problems:
        raise ConfigError(_lines(problems, document, source))
    return settings


def _validated(data: dict[Any, Any]) -> tuple[Settings, list[Problem]]:
    """Return what is valid of ``data``, and what is wrong with the rest.

    Keys with a problem are left out and the rest is tried again, so that what spans several keys
    can be checked in the same run.
    """
    problems: list[Problem] = []
    left = copy.deepcopy(data)
    while True:
        try:
            return Settings.model_validate(left), problems
        except ValidationError as exc:
            errors = exc.errors(include_url=False)
        wrong_within = [error["loc"][:-1] for error in errors]  # such a list is not empty
        problems += [
            explain(error)
            for error in errors
            if error["type"] != "too_short" or error["loc"] not in wrong_within
        ]
        for error in errors:
            _leave_out(left, error["loc"])


def _leave_out(data: dict[Any, Any], path: Path) -> None:
    """Remove the deepest key of ``path`` from ``data``; lists, rules and prices as a whole.

    Positions in a list must stay, a rule without its bad condition would match more, and a price
    needs all of its keys.
    """
    holder, key, value = data, path[0], data
    for number, step in enumerate(path):
        if isinstance(value, dict) and step in value:
            holder, key, value = value, step, value[step]
        elif number < len(path) - 1:
            return  # left out already
        if key == "match" or isinstance(value, list) or path[: number + 1] == _PRICES:
            break
    holder.pop(key, None)


def _lines(problems: list[Problem], document: Document, source: str) -> list[str]:
    """Write each problem once, in the order of the file."""
    found = []
    for problem in problems:
        line = document.line_of(problem.path)
        at = f"{source}:{line}" if line else source
        name = dotted(_as_written(problem.path, document))
        found.append((line or 0, f"{at}: {name}: {problem.text}"))
    return list(dict.fromkeys(text for _, text in sorted(found, key=lambda pair: pair[0])))


def _as_written(path: Path, document: Document) -> Path:
    """Drop the position of a rule that stands alone instead of in a list."""
    value: Any = document.data
    written: list[str | int] = []
    for step in path:
        if isinstance(value, dict) and isinstance(step, int) and step not in value:
            continue
        written.append(str(step) if isinstance(value, dict) else step)
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
    return tuple(written)
