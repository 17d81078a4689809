"""Read the fields of an answer strictly: what cannot be expressed again is refused."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from ...policies.verdict import Reason

T = TypeVar("T")

MAX_PARTS = 128  # choices of an answer, tool calls of a choice: OpenAI's own bounds


class Refused(Exception):
    """The answer cannot be stored."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Room:
    """How many more bytes of text (UTF-8) may be kept."""

    __slots__ = ("_left",)

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes

    def admit(self, value: object) -> str:
        """Return ``value``, a string, if there is room for it. Raises ``Refused``."""
        text = a_string(value)
        self._left -= len(text) if text.isascii() else len(text.encode())
        if self._left < 0:
            raise Refused(Reason.TOO_LARGE)
        return text


def check_fields(
    part: dict[str, Any], known: AbstractSet[str], dropped: AbstractSet[str] = frozenset()
) -> None:
    """Refuse a field that is neither ``known`` nor ``dropped`` unless it says nothing."""
    if part.keys() <= known:
        return
    for key, value in part.items():
        if key not in known and key not in dropped and not says_nothing(value):
            raise Refused(Reason.UNSUPPORTED)


def says_nothing(value: object) -> bool:
    """Say whether ``value`` is null or empty, or an object of nothing else."""
    nothing: tuple[object, ...] = (None, "", [], {})
    if isinstance(value, dict):
        return all(member in nothing for member in value.values())
    return value in nothing


def a_string(value: object) -> str:
    """Return ``value`` if it is a string. Raises ``Refused``."""
    if not isinstance(value, str):
        raise Refused(Reason.UNSUPPORTED)
    return value


def an_object(value: object) -> dict[str, Any]:
    """Return ``value`` if it is an object. Raises ``Refused``."""
    if not isinstance(value, dict):
        raise Refused(Reason.UNSUPPORTED)
    return value


def an_index(value: object) -> int:
    """Return ``value`` if it is a small count. Raises ``Refused``."""
    if type(value) is not int or not 0 <= value < MAX_PARTS:
        raise Refused(Reason.UNSUPPORTED)
    return value


def a_list(value: object) -> list[Any]:
    """Return ``value`` if it is a list, null as an empty one. Raises ``Refused``."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(Reason.UNSUPPORTED)
    return value


def in_order(parts: dict[int, T]) -> list[T]:
    """Return the values under 0, 1, 2 … Raises ``Refused`` when a number is missing."""
    if any(index not in parts for index in range(len(parts))):
        raise Refused(Reason.UNSUPPORTED)
    return [parts[index] for index in range(len(parts))]
