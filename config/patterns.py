"""Patterns in settings: RE2, so that no pattern can take long on any text."""

from __future__ import annotations

from typing import Any

# What a pattern for one kind of prompt cannot all match. White space is among them, as `\\S`
# finds something in nearly every prompt.
_PROBES = ("\ue000", "a", "7", " ", "\u4e2d", "\ue000" * 4000)


def check_pattern(pattern: str) -> str:
    """Accept an RE2 expression. Raises ``ValueError`` with RE2's own words."""
    compile_pattern(pattern)
    return pattern


def matches_everything(pattern: str) -> bool:
    """Say whether ``pattern`` finds something in texts that have nothing in common."""
    expression = compile_pattern(pattern)
    return all(expression.search(probe) for probe in _PROBES)


def compile_pattern(pattern: str) -> Any:
    """Compile ``pattern`` with RE2. Raises ``ValueError``."""
    import re2  # noqa: PLC0415 - loads a C library that most configurations do not need

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as exc:
        detail = exc.args[0] if exc.args else ""
        text = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        raise ValueError(f"is not an RE2 expression: {text}") from exc
