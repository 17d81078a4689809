"""Looks through texts for personal data: one pass says that most have none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ...config.patterns import compile_pattern
from .detectors import Detector, detectors

MOST_CHECKED = 500  # candidates of one form in one text; those after them are taken as they are

# What stands between digits in print, and what cannot be seen.
_DASHES = dict.fromkeys((*range(0x2010, 0x2016), 0x2212), "-")
_UNSEEN = dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
_PLAIN = str.maketrans({**_DASHES, **_UNSEEN})


@dataclass(frozen=True, slots=True)
class _Form:
    detector: Detector
    occurs: Callable[[str], object]  # a quick no
    candidates: re.Pattern[str]


class Finder:
    """Finds the kinds whose ``forms`` it was given. No state; safe in threads."""

    def __init__(self, forms: Sequence[Detector]) -> None:
        union = "|".join(f"(?:{form.pattern})" for form in forms)
        self._any: Callable[[str], object] = compile_pattern(union).search
        # A candidate may begin inside another one that turns out to be none, hence the look ahead.
        self._forms = [
            _Form(
                form,
                compile_pattern(form.pattern).search,
                re.compile(rf"(?<![0-9A-Za-z])(?=({form.pattern})(?![0-9A-Za-z]))"),
            )
            for form in forms
        ]

    def kinds(self, text: str) -> frozenset[str]:
        """Return the kinds of personal data in ``text``."""
        text = _plain(text)
        if not self._any(text):
            return frozenset()
        found: set[str] = set()
        for form in self._forms:
            kind = form.detector.kind
            if kind not in found and _spans(form, text, first=True):
                found.add(kind)
        return frozenset(found)

    def redact(self, text: str, kinds: Collection[str]) -> str:
        """Return ``text`` with a placeholder such as ``[CARD]`` for each value of ``kinds``.

        Printed dashes become hyphens, and characters that cannot be seen are left out.
        """
        text = _plain(text)
        spans = sorted(
            (start, -end, form.detector.kind)
            for form in self._forms
            if form.detector.kind in kinds
            for start, end in _spans(form, text)
        )
        pieces, done = [], 0
        for start, negative_end, kind in spans:
            if -negative_end <= done:
                continue
            pieces += [text[done : max(start, done)], f"[{kind.upper()}]"]
            done = -negative_end
        return "".join([*pieces, text[done:]])


def finder(kinds: frozenset[str]) -> Finder | None:
    """Return a finder of ``kinds``, None of none. Raises ``ImportError``: a library is missing."""
    return Finder(tuple(detectors(kinds))) if kinds else None


def _spans(form: _Form, text: str, *, first: bool = False) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    if not form.occurs(text):
        return spans
    place = checked = 0
    while (match := form.candidates.search(text, place)) is not None:
        start, candidate = match.start(), match[1]
        length = form.detector.check(candidate) if checked < MOST_CHECKED else len(candidate)
        place = start + max(length, 1)
        checked += 1
        if length:
            spans.append((start, place))
            if first:
                break
    return spans


def _plain(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text).translate(_PLAIN)
