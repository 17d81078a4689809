"""Sets values in a YAML text and leaves the rest of it as it is, comments and order included.

A value on a line of its own gets its comment at the end of that line, in place of one that spoke of
the old value. A value inside braces shares its line with others: its comment says whose it is, and
what stood there stays.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from ...config.document import parse
from .yaml_places import Edit, EditError, place

__all__ = ["EditError", "Setting", "edited"]

_GAP = 2  # least blanks before a comment
_DATE = r"\d{4}-\d\d-\d\d"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value to be set, and why."""

    path: tuple[str, ...]  # keys from the outside in, two at least
    value: str  # as YAML
    comment: str  # one line without ";"; ends with a date


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a text, by positions."""

    start: int
    code_end: int  # from here on: blanks and a comment
    end: int  # before the newline


def edited(text: str, settings: Sequence[Setting]) -> str:
    """Return ``text``, which loads, with ``settings``. Raises ``EditError`` where one has no place.

    Whether the result says what was meant is for the caller to check.
    """
    root = parse(text, "").root
    edits: list[Edit] = []
    by_line: dict[_Line | None, list[tuple[Edit, Setting]]] = defaultdict(list)
    lines = _Lines(text)
    for setting in settings:
        found = place(text, root, setting.path, setting.value, setting.comment)
        edits.append(found.edit)
        if found.column is not None:
            edits += _comment_of_own(text, lines, found.edit, found.column, setting)
        elif not found.whole_lines:
            by_line[lines.at(found.edit.start)].append((found.edit, setting))
    for line, sharing in by_line.items():
        if line is not None:
            edits.append(_shared_comment(text, line, sharing))
    return _applied(text, edits)


class _Lines:
    """The lines of a text, and where code ends on each."""

    def __init__(self, text: str) -> None:
        self._text = text
        tokens = yaml.scan(text, Loader=yaml.SafeLoader)
        spans = [(token.start_mark.index, token.end_mark.index) for token in tokens]
        self._spans = sorted((start, end) for start, end in spans if start < end)

    def at(self, position: int) -> _Line | None:
        """Return the line of ``position``; None when a value goes on beyond its end."""
        start = self._text.rfind("\n", 0, position) + 1
        end = self._text.find("\n", position)
        end = len(self._text) if end < 0 else end
        end -= self._text[start:end].endswith("\r")
        last = bisect_right(self._spans, (end, 0)) - 1
        code_end = self._spans[last][1]
        return None if code_end > end else _Line(start, code_end, end)


def _comment_of_own(
    text: str, lines: _Lines, value: Edit, column: int, setting: Setting
) -> Iterator[Edit]:
    """Write the comment of a line that holds nothing else; the old one may go over several."""
    line = lines.at(value.start)
    if line is None:
        raise EditError(f"{'.'.join(setting.path)}: goes over several lines")
    yield _comment_edit(text, line, setting.comment, len(value.new) - (value.end - value.start))
    old = _comment_start(text, line)
    if old is None or old - line.start <= column:
        return
    continued = re.compile(rf"\r?\n {{{old - line.start}}}#[^\r\n]*")
    end = line.end
    while match := continued.match(text, end):
        end = match.end()
    if end > line.end:
        yield Edit(line.end, end, "")


def _shared_comment(text: str, line: _Line, sharing: Sequence[tuple[Edit, Setting]]) -> Edit:
    start = _comment_start(text, line)
    old = "" if start is None else text[start + 1 : line.end].strip()
    for _, setting in sharing:
        old = re.sub(rf"(?:^|; ){setting.path[-2]}: [^;]*{_DATE}(?=;|$)", "", old)
    ours = [f"{setting.path[-2]}: {setting.comment}" for _, setting in sharing]
    whole = "; ".join([*([old.removeprefix("; ")] if old else []), *ours])
    growth = sum(len(edit.new) - (edit.end - edit.start) for edit, _ in sharing)
    return _comment_edit(text, line, whole, growth)


def _comment_edit(text: str, line: _Line, comment: str, growth: int) -> Edit:
    """Write ``comment`` where the old one stood, although the code before it grows."""
    old = _comment_start(text, line)
    blanks = _GAP if old is None else max(_GAP, old - line.code_end - growth)
    return Edit(line.code_end, line.end, f"{' ' * blanks}# {comment}")


def _comment_start(text: str, line: _Line) -> int | None:
    found = text.find("#", line.code_end, line.end)
    return None if found < 0 else found


def _applied(text: str, edits: Sequence[Edit]) -> str:
    parts: list[str] = []
    done = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < done:
            raise EditError("two changes are in one place")
        parts += [text[done : edit.start], edit.new]
        done = edit.end
    return "".join([*parts, text[done:]])
