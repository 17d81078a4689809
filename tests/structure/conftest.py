"""The source files that the structural tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest

LAYERS = ("config", "policies", "cache", "adapters")


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def modules(root: Path) -> dict[str, Path]:
    """Every module of the four packages, by its dotted name."""
    found = {}
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            found[".".join(("kindcache", *parts))] = path
    return found
