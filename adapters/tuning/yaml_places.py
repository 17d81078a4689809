"""Where a value stands in a YAML text, or where a new one can be put."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml


class EditError(Exception):
    """The text cannot be edited in place; the message names the key and says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces ``text[start:end]``. Positions count characters."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class Place:
    """How a value gets into a text. Its comment still has to go to the end of its line."""

    edit: Edit
    column: int | None = None  # of a key that has a line to itself; None = inside braces
    whole_lines: bool = False  # comment included


Pair = tuple[yaml.Node, yaml.Node]


def place(
    text: str, root: yaml.Node | None, path: Sequence[str], value: str, comment: str
) -> Place:
    """Find the place of ``path``, keys from the outside in. Raises ``EditError``."""
    if root is None:
        return _lines(len(text), _block(text, 0, path, value, comment), text)
    holder, key = _mapping(root, path, 0), None
    for depth, name in enumerate(path):
        found = _find(holder, name)
        if found is None:
            return _missing(text, holder, key, path, depth, value, comment)
        if found[1].start_mark.index < found[0].end_mark.index:
            raise EditError(f"{_dotted(path[: depth + 1])}: is an alias of another place")
        if depth < len(path) - 1:
            holder, key = _mapping(found[1], path, depth + 1), found[0]
    assert found is not None
    return _replaced(holder, found, path, value)


def _replaced(holder: yaml.MappingNode, found: Pair, path: Sequence[str], value: str) -> Place:
    key, old = found
    if not isinstance(old, yaml.ScalarNode):
        raise EditError(f"{_dotted(path)}: is not a plain value")
    edit = Edit(old.start_mark.index, old.end_mark.index, value)
    return Place(edit, None if holder.flow_style else key.start_mark.column)


def _missing(
    text: str,
    holder: yaml.MappingNode,
    key: yaml.Node | None,
    path: Sequence[str],
    depth: int,
    value: str,
    comment: str,
) -> Place:
    left = path[depth:]
    if holder.flow_style:
        return Place(_into_braces(text, holder, _flow(left, value)))
    column = holder.value[0][0].start_mark.column
    at = _last_end(holder)
    if len(left) == 1 and key is not None:  # a key of a category: first, where it is seen
        at = key.end_mark.index
        if holder.value[0][0].start_mark.line == key.start_mark.line:
            raise EditError(f"{_dotted(path[:depth])}: is written in one line with its first key")
    return _lines(_next_line(text, at), _block(text, column, left, value, comment), text)


def _into_braces(text: str, holder: yaml.MappingNode, entry: str) -> Edit:
    """Insert as first of the entries: behind the last there may be a comma, or none."""
    open_at = text.index("{", holder.start_mark.index) + 1  # an anchor may stand before it
    if not holder.value:
        return Edit(open_at, open_at, entry)
    first = holder.value[0][0].start_mark.index
    if "\n" in text[open_at:first]:
        return Edit(open_at, open_at, f" {entry},")
    return Edit(first, first, f"{entry}, ")


def _lines(at: int, block: str, text: str) -> Place:
    if at and text[at - 1] != "\n":  # the last line has no end
        block = _newline(text) + block
    return Place(Edit(at, at, block), whole_lines=True)


def _block(text: str, column: int, path: Sequence[str], value: str, comment: str) -> str:
    lines = [f"{' ' * (column + 2 * depth)}{name}:" for depth, name in enumerate(path)]
    lines[-1] += f" {value}  # {comment}"
    return "".join(line + _newline(text) for line in lines)


def _flow(path: Sequence[str], value: str) -> str:
    *outer, key = path
    entry = f"{key}: {value}"
    for name in reversed(outer):
        entry = f"{name}: {{{entry}}}"
    return entry


def _last_end(node: yaml.Node) -> int:
    """Return the end of the last text below ``node``; marks of blocks lie beyond comments."""
    if not isinstance(node, yaml.CollectionNode) or not node.value or node.flow_style:
        return int(node.end_mark.index)
    last = node.value[-1]
    if isinstance(last, tuple):
        return max(int(last[0].end_mark.index), _last_end(last[1]))  # the value may be an alias
    return max(int(node.start_mark.index), _last_end(last))


def _next_line(text: str, at: int) -> int:
    if at and text[at - 1] == "\n":
        return at
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _mapping(node: yaml.Node, path: Sequence[str], depth: int) -> yaml.MappingNode:
    if not isinstance(node, yaml.MappingNode):
        raise EditError(f"{_dotted(path[:depth])}: is not a mapping")
    return node


def _find(holder: yaml.MappingNode, name: str) -> Pair | None:
    for key, value in holder.value:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return key, value
    return None


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _dotted(path: Sequence[str]) -> str:
    return ".".join(path)
