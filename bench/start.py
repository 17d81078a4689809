"""Measure how long things take before the first answer.

    python bench/start.py                                # about a minute
    python bench/start.py --into docs/performance.md

Every start is a process of its own (``start_child.py``), all stages in turn, medians over rounds.
The system's file cache is warm. The model is exported into a folder of its own, once.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import marked
from overhead_table import machine
from servers import BENCH, proxy

MARKS = ("<!-- start: begin -->", "<!-- start: end -->")
IMPORT_MS = 60.0  # wanted, of the middleware beyond starlette
DEADLINE_S = 600.0
NO_ONE = 9  # a port where nothing listens: starting asks nothing of the model

Figures = dict[str, list[float]]

ROWS = {
    "import middleware": "`import kindcache.adapters.middleware` beyond `import starlette`",
    "import asyncio": "of which `asyncio` and `logging`, which a server loads anyway",
    "build everything else": "import of all that a running cache needs, beyond that",
    "build policies": "reading and checking the shipped policies",
    "build put together": "putting the cache together",
    "models encoder": "loading the encoder, its artefact there",
    "models pair scorer": "loading the pair scorer",
    "request first": "first request in an application, all of the above and its answer",
    "request second": "second request, the same words",
    "serve ready": "`kindcache serve` from its process to `/readyz`",
    "artefact built": "exporting the model, once for each machine",
    "artefact longest silence": "the longest time meanwhile without a line on the screen",
}


def child(stage: str, folder: Path, environ: dict[str, str] | None = None) -> dict[str, float]:
    """Run one stage in an empty folder; return milliseconds by name."""
    kept = {name: text for name, text in os.environ.items() if "KINDCACHE_" not in name}
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        done = subprocess.run(
            [sys.executable, str(BENCH / "start_child.py"), stage],
            check=True,
            capture_output=True,
            text=True,
            cwd=empty,
            env={**kept, **(environ or {})},
            timeout=DEADLINE_S,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(root: Path, rounds: int, *, artefact: bool) -> Figures:
    """Run all stages in turn, ``rounds`` times; the export once."""
    figures: Figures = defaultdict(list)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for stage in ("import", "build", "models", "request"):
            for name, taken_ms in child(stage, root).items():
                figures[f"{stage} {name}"].append(taken_ms)
        folder = root / f"serve-{number}"
        folder.mkdir()
        with proxy(folder, NO_ONE, "shipped") as server:
            figures["serve ready"].append(server.ready_s * 1e3)
    spent = zip(figures["import asyncio"], figures["import middleware"], strict=True)
    figures["import middleware"] = [before + own for before, own in spent]
    if artefact:
        print("exporting the model", file=sys.stderr, flush=True)
        shelf = root / "cache"
        shelf.mkdir()
        for name, taken in child("artefact", root, {"XDG_CACHE_HOME": str(shelf)}).items():
            figures[f"artefact {name}"].append(taken)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure starts.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-artefact", action="store_true", help="do not export the model")
    parser.add_argument("--into", type=Path, help="file whose marked section is replaced")
    options = parser.parse_args()
    began_s = time.perf_counter()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="kindcache-bench-") as name:
        figures = measure(Path(name), options.rounds, artefact=not options.no_artefact)
    spent_ms = median(figures["import middleware"])
    verdict = "yes" if spent_ms <= IMPORT_MS else "NO"
    rows = [
        f"| {text} | {median(figures[key]):,.1f} | {min(figures[key]):,.1f} |"
        for key, text in ROWS.items()
        if key in figures
    ]
    lines = [
        *(f"- {line}" for line in about),
        f"- Command: python {shlex.join([Path(__file__).name, *sys.argv[1:]])}",
        f"- Medians over rounds: {options.rounds}; the export: once",
        f"- Took {time.perf_counter() - began_s:.0f} s",
        "",
        "| what | ms | least |",
        "| --- | ---: | ---: |",
        *rows,
        "",
        f"- Reached: {verdict}: import of the middleware {spent_ms:.0f} ms, wanted {IMPORT_MS:g}",
    ]
    print("\n".join(lines))
    if options.into is not None:
        marked.replace(options.into, MARKS, "\n".join(lines))


if __name__ == "__main__":
    main()
