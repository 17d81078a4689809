"""Pydantic's findings in the words of the person who wrote the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from .addresses import redact_url
from .nearest import nearest
from .problems import Path, Problem
from .settings import Settings
from .value_types import (
    CURRENCY_PATTERN,
    HEADER_PATTERN,
    NAME_PATTERN,
    NAMESPACE_PATTERN,
    SCOPE_PATTERN,
    SCORER_PATTERN,
    TEXT_PATTERN,
    VARIABLE_PATTERN,
)

_MAX_SHOWN = 60
_PATTERN_WORDS: Mapping[str, str] = {
    NAME_PATTERN: 'is not a category name: 1 to 40 of a-z, 0-9 and "_", a letter first',
    TEXT_PATTERN: "is empty",
    HEADER_PATTERN: 'is not a header name: letters, digits and "-"',
    NAMESPACE_PATTERN: 'is not a namespace: 1 to 64 of A-Z, a-z, 0-9, "_", "." and "-"',
    SCOPE_PATTERN: "is none of credential, shared, header:NAME",
    CURRENCY_PATTERN: "is not a currency: 1 to 8 of A-Z and a-z, such as EUR",
    SCORER_PATTERN: "is no name, path or address: empty, over 200 characters, or with white space",
    VARIABLE_PATTERN: "is not the name of an environment variable (not shown: it may be a secret)",
}
_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda _: "is not a whole number",
    "float_type": lambda _: "is not a number",
    "finite_number": lambda _: "is not finite",
    "bool_type": lambda _: "is neither true nor false",
    "string_type": lambda _: "is not text; put it in quotes",
    "string_unicode": lambda _: "is not text",
    "dict_type": lambda _: "is not a mapping of keys and values",
    "model_type": lambda _: "is not a mapping of keys and values",
    "tuple_type": lambda _: "is not a list",
    "missing": lambda _: "is missing",
    "too_short": lambda _: "is empty",
    "string_pattern_mismatch": lambda ctx: _PATTERN_WORDS.get(
        ctx["pattern"], f"does not match {ctx['pattern']}"
    ),
    "greater_than": lambda ctx: f"must be above {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']:g}",
    "less_than": lambda ctx: f"must be below {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']:g}",
    "value_error": lambda ctx: str(ctx["error"]),
}


def explain(error: ErrorDetails) -> Problem:
    """Return ``error`` as a problem; the text names the value and the nearest valid one."""
    path: Path = tuple(error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(path, f"unknown key; {_nearest_key(path)}")
    if path[-1] == "[key]":
        path = path[:-1]
        if kind == "string_type":
            return Problem(path, "is not a name; put it in quotes")
    if kind == "literal_error":
        words = _nearest_literal(context["expected"], error["input"])
    else:
        words = _WORDS[kind](context) if kind in _WORDS else error["msg"]
    shown = _shown(path, kind, error["input"])
    return Problem(path, f"{shown}: {words}" if shown else words)


def _nearest_key(path: Path) -> str:
    return nearest(str(path[-1]), _model_at(path[:-1]).model_fields)


def _model_at(path: Path) -> type[BaseModel]:
    """Return the settings model whose keys stand below ``path``."""
    model: type[BaseModel] = Settings
    for step in path:
        if step in model.model_fields:  # list positions and category names are none
            model = _model_in(model.model_fields[str(step)].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _nearest_literal(expected: str, value: object) -> str:
    known = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    return f"is not known; {nearest(str(value), known)}"


def _shown(path: Path, kind: str, value: object) -> str:
    """Return ``value`` as a message may show it; empty where it may not or need not."""
    key = str(path[-1])
    if kind in ("missing", "too_short") or key.endswith("_env"):
        return ""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if key.endswith("url"):
        text = redact_url(text)
    if len(text) > _MAX_SHOWN:
        text = f"{text[:_MAX_SHOWN]}…"
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) else text
