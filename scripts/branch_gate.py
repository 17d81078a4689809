"""Fail when the tests take fewer branches than pyproject.toml demands for a file or folder."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Files = Mapping[str, Mapping[str, Any]]  # coverage's JSON report, by path


def share_percent(files: Files, prefix: str) -> float | None:
    """Return the share of branches taken under ``prefix``, None when no such file was measured."""
    chosen = [
        report["summary"]
        for path, report in files.items()
        if path == prefix or (prefix.endswith("/") and path.startswith(prefix))
    ]
    if not chosen:
        return None
    total = sum(summary["num_branches"] for summary in chosen)
    taken = sum(summary["covered_branches"] for summary in chosen)
    return 100 * taken / total if total else 100.0


def main() -> int:
    """Print each gate on one line; 1 when one is missed or matches no file."""
    root = Path(__file__).resolve().parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    gates: dict[str, float] = project["tool"]["kindcache"]["branch-gate"]
    files: Files = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]
    missed = 0
    parts = []
    for prefix, least in gates.items():
        share = share_percent(files, prefix)
        missed += share is None or share < least
        parts.append(f"{prefix} {'no such file' if share is None else f'{share:.1f}'} (>= {least})")
    print("branches taken, %:", ", ".join(parts))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
