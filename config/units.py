"""Units: durations, sizes and shares as people write them, as numbers as programs use them.

``parse_*`` raise ``ValueError`` with a message that says what is accepted; ``format_*`` write the
shortest text that parses back to the same number. The annotated types are for settings models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from .nearest import nearest

DURATION_UNITS: Mapping[str, Decimal] = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
}
SIZE_UNITS: Mapping[str, int] = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
DURATIONS_ACCEPTED = 'a duration such as "500ms", "5m", "1h30m" or "7d"; a plain number is seconds'
SIZES_ACCEPTED = 'a size such as "64MB" or "4MiB"; a plain whole number is bytes'
SHARES_ACCEPTED = 'a share such as "30%" or 0.3, above 0 and at most 1'

# What people write instead of a unit, so that the nearest one can be named.
_SAID_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("wk", "week", "weeks"), "w"),
    **dict.fromkeys(("byte", "bytes"), "B"),
    **dict.fromkeys(("k", "kilobyte", "kilobytes"), "kB"),
    **dict.fromkeys(("m", "megabyte", "megabytes", "meg"), "MB"),
    **dict.fromkeys(("g", "gigabyte", "gigabytes", "gig"), "GB"),
    **dict.fromkeys(("t", "terabyte", "terabytes"), "TB"),
}
_NUMBER = r"\d+(?:\.\d+)?"
_PLAIN = re.compile(_NUMBER, re.ASCII)
_PART = re.compile(rf"({_NUMBER})\s*([^\W\d_]+)\s*", re.ASCII)
_LARGEST_S = 100 * 365 * 86_400  # a century; more is a slip of the keyboard, and overflows timers
_LARGEST_BYTES = 1 << 50
_MAX_CHARS = 40  # of a text that is read as a number at all


def parse_duration(value: object) -> float:
    """Return the seconds in ``value``: ``"1h30m"`` or a number of seconds, positive, finite."""
    if isinstance(value, str) and not _PLAIN.fullmatch(value.strip()):
        seconds = _sum_of_parts(value)
    else:
        seconds = _number(value, DURATIONS_ACCEPTED)
    if seconds <= 0:
        raise ValueError(f"must be above 0; write {DURATIONS_ACCEPTED}")
    if seconds > _LARGEST_S:
        raise ValueError("is over 100 years")
    return float(seconds)


def parse_size(value: object) -> int:
    """Return the bytes in ``value``: ``"64MB"`` or a whole number of bytes, positive."""
    factor = 1
    number = value
    if isinstance(value, str) and not _PLAIN.fullmatch(value.strip()):
        part = _PART.fullmatch(value.strip())
        if part is None or len(value) > _MAX_CHARS:
            raise ValueError(f"is not a size; write {SIZES_ACCEPTED}")
        number, unit = part.groups()
        if unit not in SIZE_UNITS:
            raise _unknown_unit(unit, SIZE_UNITS)
        factor = SIZE_UNITS[unit]
    size = _number(number, SIZES_ACCEPTED) * factor
    if size <= 0:
        raise ValueError(f"must be above 0; write {SIZES_ACCEPTED}")
    if size > _LARGEST_BYTES:
        raise ValueError("is over 1 PiB")
    if size != int(size):
        raise ValueError("is not a whole number of bytes")
    return int(size)


def parse_share(value: object) -> float:
    """Return the share in ``value``: ``"30%"`` or a number above 0 and at most 1."""
    text = value.strip() if isinstance(value, str) else ""
    if text.endswith("%"):
        share = _number(text[:-1].strip(), SHARES_ACCEPTED) / 100
    else:
        share = _number(value, SHARES_ACCEPTED)
        if 1 < share <= 100:
            raise ValueError(f'is above 1; for a percentage write "{value}%"')
    if not 0 < share <= 1:
        raise ValueError(f"is out of range; write {SHARES_ACCEPTED}")
    return float(share)


def format_duration(seconds: float) -> str:
    """Write ``seconds`` as ``"1h30m"``; exact for whole milliseconds."""
    left_ms = round(seconds * 1000)
    if left_ms < 1000:
        return f"{seconds * 1000:.12g}ms"
    text = ""
    for unit, unit_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        count, left_ms = divmod(left_ms, unit_ms)
        text += f"{count}{unit}" if count else ""
    return text + (f"{Decimal(left_ms) / 1000}s" if left_ms else "")


def format_size(size_bytes: int) -> str:
    """Write ``size_bytes`` in the largest unit that loses nothing: ``"64MiB"``."""
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB"):
        count, rest = divmod(size_bytes, SIZE_UNITS[unit])
        if count and not rest:
            return f"{count}{unit}"
    return f"{size_bytes}B"


def format_share(share: float) -> str:
    """Write ``share`` as a percentage: ``"30%"``."""
    return f"{share * 100:.12g}%"


def _unknown_unit(unit: str, units: Mapping[str, object]) -> ValueError:
    said = {alias: known for alias, known in _SAID_INSTEAD.items() if known in units}
    return ValueError(f'unknown unit "{unit}"; {nearest(unit, units, said)}')


def _sum_of_parts(text: str) -> Decimal:
    """Add up ``1h30m``: each unit at most once, large ones first."""
    seconds, position, smallest = Decimal(0), 0, Decimal("Infinity")
    stripped = text.strip()
    if len(stripped) > _MAX_CHARS:
        raise ValueError(f"is not a duration; write {DURATIONS_ACCEPTED}")
    while position < len(stripped):
        part = _PART.match(stripped, position)
        if part is None:
            raise ValueError(f"is not a duration; write {DURATIONS_ACCEPTED}")
        number, unit = part.groups()
        if unit not in DURATION_UNITS:
            raise _unknown_unit(unit, DURATION_UNITS)
        factor = DURATION_UNITS[unit]
        if factor >= smallest:
            raise ValueError("name each unit once, large ones first, as in 1h30m")
        seconds, position, smallest = seconds + Decimal(number) * factor, part.end(), factor
    if not stripped:
        raise ValueError(f"is not a duration; write {DURATIONS_ACCEPTED}")
    return seconds


def _number(value: object, accepted: str) -> Decimal:
    """Return ``value`` as an exact finite number; a bool is not one."""
    if isinstance(value, str) and len(value) <= _MAX_CHARS and _PLAIN.fullmatch(value.strip()):
        return Decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"is not {accepted}")  # noqa: TRY004 - pydantic reports ValueError
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValueError(f"is not finite; write {accepted}")
    return number


def _schema(pattern: str, examples: list[str], number: dict[str, Any]) -> WithJsonSchema:
    options = [{"type": "string", "pattern": pattern}, number]
    return WithJsonSchema({"anyOf": options, "examples": examples})


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    _schema(
        rf"^\s*({_NUMBER}|({_NUMBER}\s*(ms|s|m|h|d|w)\s*)+)\s*$",
        ["500ms", "5m", "1h30m", "7d"],
        {"type": "number", "exclusiveMinimum": 0},
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    _schema(
        rf"^\s*{_NUMBER}\s*({'|'.join(SIZE_UNITS)})?\s*$",
        ["64MB", "4MiB"],
        {"type": "integer", "exclusiveMinimum": 0},
    ),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    _schema(
        rf"^\s*{_NUMBER}\s*%?\s*$",
        ["30%"],
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    ),
]
