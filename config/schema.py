"""The JSON Schema of a settings file, for editors.

``python -m kindcache.config.schema`` prints it; with ``--write`` it replaces the committed file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .settings import Settings

TITLE = "kindcache settings"
FILE = Path(__file__).with_name("kindcache.schema.json")


def schema() -> dict[str, Any]:
    """Return the schema. It knows shapes and units; what spans several keys it cannot say."""
    found = _without_null(Settings.model_json_schema())
    assert isinstance(found, dict)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": TITLE}
    return {**head, **found}


def text() -> str:
    """Return the schema as the committed file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _without_null(node: Any) -> Any:
    """Remove ``null`` as a type and as a default: a key without a value is an error in YAML."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _without_null(value)
        for key, value in node.items()
        if not (key == "default" and value is None)
        and not (key == "title" and isinstance(value, str))
    }
    options = kept.get("anyOf", [])
    real = [option for option in options if option != {"type": "null"}]
    if len(real) == 1 and len(options) > 1:
        del kept["anyOf"]
        return {**real[0], **kept}
    return {**kept, "anyOf": real} if real else kept


def main(arguments: list[str]) -> None:
    """Print the schema, or write it with ``--write``."""
    if arguments == ["--write"]:
        FILE.write_text(text(), encoding="utf-8")
    else:
        sys.stdout.write(text())


if __name__ == "__main__":
    main(sys.argv[1:])
