"""The files that are shipped: policies, examples, schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kindcache.config import schema
from kindcache.config.load import default_path, load

EXAMPLES = sorted((default_path().parent / "examples").glob("*.yaml"))


def test_the_default_file_has_nine_categories_with_examples() -> None:
    settings = load(default_path())
    assert len(settings.categories) == 9
    assert all(len(category.examples) >= 5 for category in settings.categories.values())


def test_the_default_file_keeps_sensitive_prompts_out_of_the_cache() -> None:
    settings = load(default_path())
    not_cached = [name for name in settings.category_names if not settings.effective(name).cache]
    assert not_cached == ["personal", "medical"]


def test_the_default_file_is_strict_about_what_no_category_claims() -> None:
    settings = load(default_path())
    bars = [settings.effective(name).similarity_threshold for name in settings.categories]
    assert min(bars) >= 0.9
    assert settings.effective("default").similarity_threshold >= 0.95


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == ["conversations", "local", "redis", "tenants"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_examples_are_valid_and_short(path: Path) -> None:
    assert load(path).categories
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


def test_the_committed_schema_is_the_one_of_the_settings() -> None:
    assert schema.FILE.read_text(encoding="utf-8") == schema.text(), (
        "run python -m kindcache.config.schema --write"
    )


def test_the_schema_is_printed_and_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "FILE", tmp_path / "schema.json")
    schema.main([])
    schema.main(["--write"])
    assert capsys.readouterr().out == (tmp_path / "schema.json").read_text(encoding="utf-8")


def test_the_schema_offers_units_as_text_or_number_and_no_null() -> None:
    found = schema.schema()
    ttl = found["$defs"]["Category"]["properties"]["ttl"]
    assert [option["type"] for option in ttl["anyOf"]] == ["string", "number"]
    assert ttl["examples"]
    assert '"null"' not in json.dumps(found)


def test_the_schema_describes_every_key() -> None:
    models: dict[str, Any] = schema.schema()["$defs"]
    bare = [
        f"{model}.{key}"
        for model, shape in models.items()
        for key, value in shape["properties"].items()
        if not value.get("description")
    ]
    assert bare == []
