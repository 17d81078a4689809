"""Makes the folder ``training`` importable; it is not installed with the package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "training"


def _import_training() -> None:
    spec = importlib.util.spec_from_file_location("training", FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["training"] = module
    spec.loader.exec_module(module)


_import_training()
