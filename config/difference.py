"""What differs between two settings, in words for a log: names and figures, never texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from .category_settings import Category, Effective
from .settings import Settings
from .units import format_duration, format_share

UNDER_WAY = ("classifier", "defaults", "categories")  # what a running cache can take over
AT_START = frozenset({"vectors"})  # of a category: its index is made for one kind of them
_DURATIONS = frozenset(
    {"ttl", "time_words_ttl", "stale_while_revalidate", "stale_if_error", "under_load.ttl"}
)
_SHARES = frozenset({"max_error_rate", "ttl_jitter", "quota"})
_COUNTED = ("match", "examples")  # of these only how many there are
_PLAIN = re.compile(r"[a-z_]{1,20}")
_UNSET = "not set"
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Difference:
    """``changed`` and ``needs_restart`` are lines; ``gone`` are categories no longer cached."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]
    gone: tuple[str, ...]


def difference(old: Settings, new: Settings) -> Difference:
    """Compare what ``old`` and ``new`` mean: inherited values are compared where they count."""
    taken = in_force(old, new)
    at_start = [line for name in Settings.model_fields for line in _at_start(name, old, new)]
    for name in new.category_names:
        at_start += _category(name, taken, new)
    return Difference(tuple(_changes(old, taken)), tuple(at_start), tuple(_gone(old, new)))


def in_force(old: Settings, new: Settings) -> Settings:
    """Return ``old`` with what of ``new`` a running cache takes over.

    What waits for a restart is so found again by the next comparison.
    """
    kinds = {
        name: _as_at_start(old.categories.get(name, Category()), kind)
        for name, kind in new.categories.items()
    }
    taken = {name: getattr(new, name) for name in UNDER_WAY}
    taken |= {"defaults": _as_at_start(old.defaults, new.defaults), "categories": kinds}
    return old.model_copy(update=taken)


def _as_at_start(old: M, new: M) -> M:
    late = AT_START.intersection(type(new).model_fields)
    return new.model_copy(update={key: getattr(old, key) for key in late})


def _changes(old: Settings, new: Settings) -> Iterator[str]:
    yield from _values("classifier", old.classifier, new.classifier)
    for name in dict.fromkeys((*old.category_names, *new.category_names)):
        if name not in old.category_names:
            yield f"categories.{name}: added"
        elif name not in new.category_names:
            yield f"categories.{name}: removed"
        else:
            yield from _category(name, old, new)
    if _ordered(old, new) != _ordered(new, old):
        yield "categories: another order of those with rules"


def _ordered(one: Settings, other: Settings) -> list[str]:
    """Return the categories of both that have rules, in the order of ``one``: the first decides."""
    return [
        name
        for name, kind in one.categories.items()
        if kind.match and name in other.categories and other.categories[name].match
    ]


def _gone(old: Settings, new: Settings) -> Iterator[str]:
    for name in old.category_names:
        kept = name in new.category_names and new.effective(name).cache
        if old.effective(name).cache and not kept:
            yield name


def _at_start(name: str, old: Settings, new: Settings) -> Iterator[str]:
    if name in UNDER_WAY:
        return
    one, other = getattr(old, name), getattr(new, name)
    if isinstance(one, BaseModel):
        for key in type(one).model_fields:
            if getattr(one, key) != getattr(other, key):
                yield f"{name}.{key}"  # values may be addresses, with passwords
    elif one != other:
        yield name


def _category(name: str, old: Settings, new: Settings) -> Iterator[str]:
    path = f"categories.{name}"
    yield from _values(path, old.effective(name), new.effective(name))
    ours, theirs = old.categories.get(name), new.categories.get(name)
    for key in _COUNTED:
        before, after = getattr(ours, key, ()), getattr(theirs, key, ())
        if before != after:
            yield f"{path}.{key}: changed ({len(before)} -> {len(after)})"


def _values(path: str, old: BaseModel, new: BaseModel, within: str = "") -> Iterator[str]:
    assert type(old) is type(new)
    for key in type(old).model_fields:
        before, after = getattr(old, key), getattr(new, key)
        if before == after or (isinstance(old, Effective) and key == "name"):
            continue
        if isinstance(before, BaseModel) and type(before) is type(after):
            yield from _values(f"{path}.{key}", before, after, f"{key}.")
        else:
            yield _line(f"{path}.{key}", within + key, before, after)


def _line(path: str, key: str, before: object, after: object) -> str:
    old, new = _shown(key, before), _shown(key, after)
    return f"{path}: changed" if old is None or new is None else f"{path}: {old} -> {new}"


def _shown(key: str, value: Any) -> str | None:
    """Write a value; None for what may be a text of its own."""
    if value is None:
        return _UNSET
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if key in _DURATIONS:
            return format_duration(value)
        return format_share(value) if key in _SHARES else f"{value:g}"
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else None
