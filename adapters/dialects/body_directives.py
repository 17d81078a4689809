"""The ``cache`` object that LiteLLM clients put into a request body."""

from __future__ import annotations

from ...policies.facts import NO_DIRECTIVES, Directives
from ...policies.tags import tags_of

_BYPASS = Directives(bypass=True)
_NUMBERS = {"ttl": "ttl_s", "s-maxage": "max_age_s", "s-max-age": "max_age_s"}  # seconds
_FLAGS = {"no-cache": "no_cache", "no-store": "no_store", "use-cache": "use_cache"}
_LONGEST_S = 1e10  # about 300 years; larger numbers mean the same and may not fit a float


def read_directives(control: object) -> Directives:
    """Read what the client asked of the cache.

    The client can only tighten: ``use-cache: true`` changes nothing, nulls ask nothing, and
    whatever cannot be used (a wrong type, a negative age, an unknown name) means bypass.
    """
    if not isinstance(control, dict):
        return _BYPASS
    numbers: dict[str, float] = {}
    flags: dict[str, bool] = {}
    namespace = ""
    tags: tuple[str, ...] = ()
    for name, value in control.items():
        if value is None:
            continue
        if name in _NUMBERS and type(value) in (int, float) and value >= 0:
            seconds = float(min(value, _LONGEST_S))
            field = _NUMBERS[name]
            numbers[field] = min(seconds, numbers.get(field, seconds))
        elif name in _FLAGS and isinstance(value, bool):
            flags[_FLAGS[name]] = value
        elif name == "namespace" and isinstance(value, str):
            namespace = value
        elif name == "tags" and isinstance(value, list) and (read := tags_of(value)) is not None:
            tags = read
        else:
            return _BYPASS
    if not (numbers or flags or namespace or tags):
        return NO_DIRECTIVES
    return Directives(
        no_cache=flags.get("no_cache", False),
        no_store=flags.get("no_store", False),
        bypass=not flags.get("use_cache", True),
        max_age_s=numbers.get("max_age_s"),
        ttl_s=numbers.get("ttl_s"),
        namespace=namespace,
        tags=tags,
    )
