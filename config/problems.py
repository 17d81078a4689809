"""Problems of a settings file, and the one error that names them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]  # ("categories", "code", "match", 0, "pattern")


class ConfigError(ValueError):
    """The configuration cannot be used. The message has one line per problem."""

    def __init__(self, lines: Iterable[str]) -> None:
        # A lone surrogate, which YAML can escape, cannot be printed.
        self.lines = tuple(line.encode(errors="backslashreplace").decode() for line in lines)
        super().__init__("\n".join(self.lines))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where. The text holds no secrets."""

    path: Path
    text: str


def dotted(path: Path) -> str:
    """Write ``path`` as ``categories.code.match[0].pattern``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
