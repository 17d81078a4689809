"""The files under deploy/, parsed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def documents(path: Path) -> list[Any]:
    """Every document of a YAML or JSON file."""
    text = path.read_text(encoding="utf-8")
    return [json.loads(text)] if path.suffix == ".json" else list(yaml.safe_load_all(text))


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    (found,) = documents(DEPLOY / "compose.yaml")
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="session")
def manifests() -> dict[str, dict[str, Any]]:
    """Kubernetes resources by kind and name, those of the kustomization."""
    folder = DEPLOY / "kubernetes"
    (kustomization,) = documents(folder / "kustomization.yaml")
    found = [each for name in kustomization["resources"] for each in documents(folder / name)]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}
