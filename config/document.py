"""YAML text to plain data that still knows its lines.

Reads what YAML 1.2 calls the core schema: only ``true`` and ``false`` are booleans, ``1:30`` and
``2024-01-01`` are text, ``010`` is not eight. Keys given twice or without a value are problems.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml

from .problems import ConfigError, Path, Problem

_NULL = "tag:yaml.org,2002:null"
_MAX_NODES = 100_000  # a hundred times the shipped file
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """The safe loader with fewer surprises."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]


# YAML type, its texts, and the characters these begin with ("" = the empty text).
_CORE_SCHEMA = (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", [*"-+0123456789"]),
    (
        "float",
        (
            r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
        [*"-+.0123456789"],
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", ["<"]),
)
for _name, _pattern, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first
    )


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its data without the keys that have no value, and what is wrong so far."""

    data: dict[Any, Any]
    problems: tuple[Problem, ...]
    root: yaml.Node | None

    def line_of(self, path: Path) -> int | None:
        """Return the line, from 1, of the last key of ``path`` that is in the file."""
        node, line = self.root, None
        for step in path:
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                node = node.value[step]
                line = node.start_mark.line + 1
            elif isinstance(node, yaml.MappingNode) and (found := _find(node, step)):
                node = found[1]
                line = found[0].start_mark.line + 1
            elif step != 0:  # 0: a single mapping stands where a list may stand
                break
        return line


def parse(text: str, source: str) -> Document:
    """Parse ``text``. Raises ``ConfigError`` for what is not YAML or not a mapping."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        problems = tuple(_inspect(root, (), set(), set())) if root else ()
        if root and _expanded(root, {}) > _MAX_NODES:
            raise yaml.MarkedYAMLError(problem=f"aliases expand to over {_MAX_NODES:,} values")
        data = loader.construct_document(root) if root else None
    except yaml.YAMLError as exc:
        raise ConfigError([f"{source}{_where(exc, text)}: {_what(exc)}"]) from exc
    except ValueError as exc:
        raise ConfigError([f"{source}: holds a value that its YAML tag does not fit"]) from exc
    except RecursionError as exc:
        raise ConfigError([f"{source}: is nested too deeply"]) from exc
    if data is None:
        return Document({}, (), None)
    if not isinstance(data, dict):
        raise ConfigError([f"{source}:1: is not a mapping; write keys and values"])
    return Document(_without_null(data), problems, root)


def _inspect(
    node: yaml.Node, path: Path, open_nodes: set[int], done: set[int]
) -> Iterator[Problem]:
    """Yield duplicate keys and keys without a value, below ``node``; each node once."""
    if id(node) in open_nodes:
        raise yaml.MarkedYAMLError(problem="an alias contains itself", problem_mark=node.start_mark)
    if id(node) in done:
        return
    done.add(id(node))
    below = open_nodes | {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _inspect(item, (*path, number), below, done)
    elif isinstance(node, yaml.MappingNode):
        yield from _inspect_keys(node, path)
        for key, value in node.value:
            yield from _inspect(value, (*path, _text(key)), below, done)


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values below ``node`` as a program sees them, aliases written out."""
    if id(node) not in known:
        parts = () if isinstance(node, yaml.ScalarNode) else node.value
        below = (part for item in parts for part in (item if isinstance(item, tuple) else (item,)))
        known[id(node)] = 1 + sum(_expanded(part, known) for part in below)
    return known[id(node)]


def _inspect_keys(node: yaml.MappingNode, path: Path) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for key, value in node.value:
        name, line = _text(key), key.start_mark.line + 1
        if key.tag != _MERGE and name in seen:
            yield Problem((*path, name), f"is given twice, on lines {seen[name]} and {line}")
        seen.setdefault(name, line)
        if value.tag == _NULL:
            yield Problem((*path, name), "has no value; give it one or remove the key")


def _text(key: yaml.Node) -> str:
    return str(key.value) if isinstance(key, yaml.ScalarNode) else "?"


def _find(node: yaml.MappingNode, key: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return key and value under ``key``, the last of several, as the loader takes it."""
    for key_node, value_node in reversed(node.value):
        if isinstance(key_node, yaml.ScalarNode) and key_node.value == str(key):
            return key_node, value_node
    return None


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value


def _where(exc: yaml.YAMLError, text: str) -> str:
    """Return ``:line:column`` of ``exc``, both from 1."""
    if isinstance(exc, yaml.MarkedYAMLError) and (mark := exc.problem_mark or exc.context_mark):
        return f":{mark.line + 1}:{mark.column + 1}"
    if isinstance(exc, yaml.reader.ReaderError):
        before = text[: exc.position]
        return f":{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    return ""


def _what(exc: yaml.YAMLError) -> str:
    """Say what is wrong without quoting lines of the file, which may hold a password."""
    if isinstance(exc, yaml.MarkedYAMLError):
        began = (
            f"{exc.context} that began on line {exc.context_mark.line + 1}: "
            if (exc.context and exc.context_mark)
            else ""
        )
        return f"{began}{exc.problem or 'is not YAML'}"
    if isinstance(exc, yaml.reader.ReaderError):
        return f"the character U+{exc.character:04X} cannot stand in YAML"
    return "is not YAML"
