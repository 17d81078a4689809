"""The generated page of all settings."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script() -> ModuleType:
    path = ROOT / "scripts" / "make_settings_page.py"
    spec = importlib.util.spec_from_file_location("make_settings_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(script: ModuleType) -> None:
    committed = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert committed == script.page(), "run python scripts/make_settings_page.py"


@pytest.mark.parametrize(
    "row",
    [
        "| `timeout` | duration | `2m` | Longest silence",
        "| `hot_payloads` | size | `64MiB` |",
        "| `quota` | share | none |",
        "| `ttl` | duration | as in `defaults` |",
        "| `path` | text | none |",
        "| `anonymous` | `bypass` or `share` | `bypass` |",
        "| `cache` | `true` or `false` | `true` |",
        "| `pattern` | text | required |",
        "| `peers` | list | none |",
    ],
)
def test_rows_show_units_as_they_are_written(script: ModuleType, row: str) -> None:
    assert row in script.page()
