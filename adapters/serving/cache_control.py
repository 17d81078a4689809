"""``Cache-Control`` of a request (RFC 9111, section 5.2.1) as directives, which only tighten."""

from __future__ import annotations

import math
from dataclasses import replace

from ...policies.facts import Directives
from ...policies.tags import tags_of
from ..asgi import Headers, joined_header

TAGS_HEADER = b"x-cache-tags"
_ASKING = frozenset({b"cache-control", b"pragma", TAGS_HEADER})
_NO_STALE = frozenset({"must-revalidate", "proxy-revalidate"})  # of responses, but plain enough


def tighten(asked: Directives, headers: Headers) -> Directives:
    """Return ``asked`` (from the body) tightened by the request's headers.

    A directive whose figure cannot be read counts as the tightest one: doubt is a miss.
    """
    if not any(name.lower() in _ASKING for name, _ in headers):
        return asked
    asked = _tagged(asked, joined_header(headers, TAGS_HEADER))
    text = joined_header(headers, b"cache-control")
    if not text:
        old_style = joined_header(headers, b"pragma").lower().strip() == "no-cache"
        return replace(asked, no_cache=True) if old_style else asked
    given = dict(_directive(part) for part in text.lower().split(",") if part.strip())
    return replace(
        asked,
        no_cache=asked.no_cache or "no-cache" in given,
        no_store=asked.no_store or "no-store" in given,
        only_if_cached=asked.only_if_cached or "only-if-cached" in given,
        max_age_s=_least(asked.max_age_s, _seconds(given, "max-age", unreadable=0.0)),
        min_fresh_s=_most(asked.min_fresh_s, _seconds(given, "min-fresh", unreadable=math.inf)),
        max_stale_s=_least(asked.max_stale_s, _max_stale(given)),
        stale_if_error_s=_seconds(given, "stale-if-error", unreadable=0.0),
    )


def forbids_storing(headers: Headers) -> bool:
    """Say whether a response forbids to keep it, even for its own caller."""
    text = joined_header(headers, b"cache-control").lower()
    return any(part.strip().partition("=")[0] == "no-store" for part in text.split(","))


def _tagged(asked: Directives, text: str) -> Directives:
    """Add tags; an answer that could not be found by a tag that it was given is not stored."""
    if not text:
        return asked
    names = (part.strip() for part in text.split(","))
    tags = tags_of([*asked.tags, *filter(None, names)])
    return replace(asked, no_store=True) if tags is None else replace(asked, tags=tags)


def _directive(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name.strip(), value.strip().strip('"')


def _seconds(given: dict[str, str], name: str, *, unreadable: float) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    return float(value) if value.isascii() and value.isdigit() and len(value) < 16 else unreadable


def _max_stale(given: dict[str, str]) -> float | None:
    if _NO_STALE.intersection(given):
        return 0.0
    if given.get("max-stale") == "":
        return math.inf  # any age; the policy's stale window bounds it
    return _seconds(given, "max-stale", unreadable=0.0)


def _least(first: float | None, second: float | None) -> float | None:
    return min((value for value in (first, second) if value is not None), default=None)


def _most(first: float | None, second: float | None) -> float | None:
    return max((value for value in (first, second) if value is not None), default=None)
