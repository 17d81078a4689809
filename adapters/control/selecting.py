"""What an operator wants invalidated: a JSON body as a selector, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...cache.asking.scope import Scoping
from ...config.patterns import check_pattern, matches_everything
from ...config.units import parse_duration
from ...policies.selecting import Selector
from ...policies.tags import SHAPE as TAG_SHAPE
from ...policies.tags import is_tag
from .erasure import NoSubject, subject_of

MOST_VALUES = 100  # of one condition
MOST_ENTRIES = 1000
LONGEST_NAME = 256
LONGEST_PATTERN = 1000
LONGEST_LIKE = 4000
LEAST_LIKENESS = 0.5  # below it nearly every prompt is like any other
DEFAULT_LIKENESS = 0.85
ENTRY_DIGITS = 32

SHAPE = (
    'name what is to go by "entry", "scope", "category", "model", "tag", "pattern", "like" (with'
    ' "at_least") and "older_than", all of which must hold, or {"all": true}; with "dry_run": true'
    " nothing goes"
)
_FLAGS = ("all", "dry_run", "show_prompts")


class NoSelector(Exception):
    """The body does not say what; the message does, without what it held."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to go. With ``everything`` the selector is empty."""

    selector: Selector
    everything: bool
    dry_run: bool
    show_prompts: bool


def wanted_of(asked: Any, scoping: Scoping, now_s: float) -> Wanted:
    """Return what ``asked``, a parsed body, names. Raises ``NoSelector``."""
    if not isinstance(asked, dict):
        raise NoSelector(f"the body must be a JSON object: {SHAPE}")
    unknown = sorted(asked.keys() - _READERS.keys() - set(_FLAGS) - {"scope", "at_least"})
    if unknown:
        raise NoSelector(f"unknown: {str(unknown[0])[:40]!r}; {SHAPE}")
    everything, dry_run, show_prompts = (_flag(asked, name) for name in _FLAGS)
    fields: dict[str, Any] = {}
    for name, read in _READERS.items():
        if asked.get(name) is not None:
            fields |= read(asked[name], now_s)
    if asked.get("at_least") is not None:
        if "like" not in fields:
            raise NoSelector('"at_least" says how near to "like", which is missing')
        fields["at_least"] = _likeness(asked["at_least"])
    if asked.get("scope") is not None:
        fields["whose"] = (_subject(asked["scope"], scoping),)
    selector = Selector(**fields)
    if everything != selector.is_empty:
        said = "nothing else can stand beside" if everything else "the body names nothing: for all"
        raise NoSelector(f'{said} {{"all": true}}; {SHAPE}')
    return Wanted(selector, everything, dry_run, show_prompts)


def _flag(asked: Mapping[str, Any], name: str) -> bool:
    value = asked.get(name, False)
    if not isinstance(value, bool):
        raise NoSelector(f'"{name}" must be true or false')
    return value


def _texts(name: str, value: Any, most: int = MOST_VALUES) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(map(_is_name, texts)):
        raise NoSelector(
            f'"{name}" must be a text or a list of texts, of 1 to {LONGEST_NAME} characters'
        )
    if len(texts) > most:
        raise NoSelector(f'"{name}" has more than {most} values')
    return tuple(sorted(set(texts)))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and _is_unicode(value)


def _is_unicode(value: str) -> bool:
    """Refuse half a pair of surrogates, which JSON can spell and nothing else can say."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _entries(value: Any, _: float) -> dict[str, Any]:
    names = _texts("entry", value, MOST_ENTRIES)
    if not all(len(name) == ENTRY_DIGITS and _is_hex(name) for name in names):
        raise NoSelector('"entry" must be ids as X-Cache-Entry has them: 32 hexadecimal digits')
    return {"entries": tuple(sorted({name.lower() for name in names}))}


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)


def _models(value: Any, _: float) -> dict[str, Any]:
    names = _texts("model", value)
    if any(not name.strip("*?") for name in names):
        raise NoSelector('"model" names every model: leave it out, or say {"all": true}')
    return {"models": names}


def _tags(value: Any, _: float) -> dict[str, Any]:
    names = _texts("tag", value)
    if not all(map(is_tag, names)):
        raise NoSelector(f'"tag" must be tags: {TAG_SHAPE}')
    return {"tags": names}


def _pattern(value: Any, _: float) -> dict[str, Any]:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_PATTERN:
        raise NoSelector(f'"pattern" must be a text of 1 to {LONGEST_PATTERN} characters')
    try:
        check_pattern(value)
    except (ValueError, UnicodeEncodeError) as exc:
        raise NoSelector(f'"pattern" {str(exc)[:200]}') from exc
    if matches_everything(value):
        raise NoSelector('"pattern" finds something in every prompt: for all say {"all": true}')
    return {"pattern": value}


def _like(value: Any, _: float) -> dict[str, Any]:
    fits = isinstance(value, str) and value.strip() and len(value) <= LONGEST_LIKE
    if not fits or not _is_unicode(value):
        raise NoSelector(f'"like" must be a text of 1 to {LONGEST_LIKE} characters')
    return {"like": value, "at_least": DEFAULT_LIKENESS}


def _likeness(value: Any) -> float:
    if type(value) not in {int, float} or not LEAST_LIKENESS <= value <= 1:
        raise NoSelector(f'"at_least" must be a similarity from {LEAST_LIKENESS} to 1')
    return float(value)


def _older_than(value: Any, now_s: float) -> dict[str, Any]:
    try:
        age_s = parse_duration(value)
    except ValueError as exc:
        raise NoSelector(f'"older_than" {exc}') from exc
    return {"created_before_s": now_s - age_s}


def _subject(value: Any, scoping: Scoping) -> str:
    try:
        return subject_of(value, scoping).packed().hex()
    except NoSubject as exc:
        raise NoSelector(f'"scope": {exc}') from exc


_READERS: dict[str, Callable[[Any, float], dict[str, Any]]] = {
    "entry": _entries,
    "category": lambda value, _: {"categories": _texts("category", value)},
    "model": _models,
    "tag": _tags,
    "pattern": _pattern,
    "like": _like,
    "older_than": _older_than,
}
