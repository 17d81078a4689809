"""No request costs more than it may: counts, and one ratio to a bare app in the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gate_bounds import BOUNDS, HOW_TO_CHANGE, Bound

GATE = Path(__file__).resolve().parents[2] / "bench" / "gate.py"


@pytest.fixture(scope="module")
def figures() -> Any:
    # In a process of its own: what measures the tests' coverage would be counted as well.
    kept = {name: text for name, text in os.environ.items() if "KINDCACHE_" not in name}
    done = subprocess.run(
        [sys.executable, str(GATE), "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**kept, "PYTHONHASHSEED": "0"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: f"{bound.path}: {bound.what}")
def test_a_request_costs_no_more_than_it_may(bound: Bound, figures: Any) -> None:
    figure = figures[bound.path][bound.what]
    assert figure <= bound.most, (
        f"{bound.path}: {figure:,.6g} {bound.what}, at most {bound.most:,g} ({bound.why}). "
        f"{HOW_TO_CHANGE}"
    )
