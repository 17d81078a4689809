"""Write docs/settings.md from the settings models: ``python scripts/make_settings_page.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from kindcache.config.category_settings import Category, CategoryFields, Rule, UnderLoad
from kindcache.config.economics_settings import PriceSettings
from kindcache.config.service_settings import Normalisation
from kindcache.config.settings import Settings
from kindcache.config.units import (
    format_duration,
    format_share,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
Unit = tuple[Callable[..., Any], str, Callable[..., str]]
UNITS: tuple[Unit, ...] = (
    (parse_duration, "duration", format_duration),
    (parse_size, "size", format_size),
    (parse_share, "share", format_share),
)
KINDS: dict[Any, str] = {
    tuple: "list",
    dict: "mapping",
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    str: "text",
}
BLOCKS: tuple[tuple[str, type[BaseModel]], ...] = (
    *(
        (name, type(field.default))
        for name, field in Settings.model_fields.items()
        if isinstance(field.default, BaseModel)
    ),
    ("categories.NAME", Category),
    ("categories.NAME.match", Rule),
    ("categories.NAME.under_load", UnderLoad),
    ("normalise", Normalisation),
    ("economics.prices.MODEL", PriceSettings),
)
HEAD = """\
# Settings

One YAML file. Everything has a default, so that an empty file is a valid one.
`kindcache check FILE` names every mistake with its line and the nearest valid key, and prints the
effective policy.
The shipped policies are `config/default.yaml`; shorter files are in `config/examples/`.

This page is made from the settings models by `scripts/make_settings_page.py`.

## Units

| kind | written as |
|---|---|
| duration | `500ms`, `5m`, `1h30m`, `7d`, `2w`; a plain number is seconds |
| size | `64MB` (millions), `4MiB` (1024 x 1024); a plain whole number is bytes |
| share | `30%` or `0.3`, above 0 and at most 1 |

Booleans are `true` and `false` only. A key without a value is an error, as is a key given twice.

## Across keys

- Quotas add up to at most 100 %.
- Rules are tried in the file's order over all categories. No rule may stand twice, and none after
  a rule that matches every prompt (no condition, `*`, or a pattern such as `.*`).
- No example may stand twice.
- `embedder.runtime: remote` needs `embedder.url` and `embedder.window`.
- A category named `default` decides for prompts of no other category; what it leaves out is as in
  `defaults`.

## Keys

`version: 1` is the version of the file's format, and the default.
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(line + "\n" for name, model in BLOCKS for line in _section(name, model))


def _section(name: str, model: type[BaseModel]) -> Iterator[str]:
    yield ""
    yield f"### {name}"
    yield ""
    yield " ".join((model.__doc__ or "").replace("``", "`").split())
    yield ""
    yield "| key | kind | default | what it does, and why the default |"
    yield "|---|---|---|---|"
    for key, field in model.model_fields.items():
        cells = (f"`{key}`", _kind(field), _default(name, key, field), _meaning(key, field))
        yield f"| {' | '.join(cells)} |"


def _meaning(key: str, field: FieldInfo) -> str:
    """Return the description; for a key of ``defaults``, what it means as well."""
    own = field.description or ""
    general = CategoryFields.model_fields.get(key)
    meant = general.description if general is not None and general.description != own else None
    return f"{meant or ''} {own}".strip().replace("|", "\\|")


def _kind(field: FieldInfo) -> str:
    unit = _unit(field)
    if unit is not None:
        return unit[1]
    leaves = list(_leaves(field.annotation))
    words = [f"`{leaf}`" for leaf in leaves if isinstance(leaf, str)]
    if any(isinstance(leaf, type) and issubclass(leaf, BaseModel) for leaf in leaves[:1]):
        return "mapping"
    return " or ".join(words) or next(KINDS[leaf] for leaf in leaves if leaf in KINDS)


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the types and the literal words that ``annotation`` is made of, outermost first."""
    parts = getattr(annotation, "__args__", ())
    origin = getattr(annotation, "__origin__", None)
    if not parts or origin in (tuple, dict):
        yield origin or annotation
    for part in parts:
        yield from _leaves(part)


def _default(block: str, key: str, field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required():
        return "required"
    if value is None and block == "categories.NAME" and key in CategoryFields.model_fields:
        return "as in `defaults`"
    if value in (None, (), {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    unit = _unit(field)
    return f"`{unit[2](value) if unit else value}`" if value != "" else "empty"


def _unit(field: FieldInfo) -> Unit | None:
    """Return the unit of ``field``: its parser, its name, its formatter."""
    found = [*field.metadata, *_metadata(field.annotation)]
    parsers = [item.func for item in found if isinstance(item, BeforeValidator)]
    return next((unit for unit in UNITS if unit[0] in parsers), None)


def _metadata(annotation: Any) -> list[Any]:
    """Return what ``Annotated`` attaches inside ``annotation``, as in ``Duration | None``."""
    inner = [item for part in getattr(annotation, "__args__", ()) for item in _metadata(part)]
    return [*getattr(annotation, "__metadata__", ()), *inner]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
