"""Simulate the example log under the shipped policies, and with stale answers while refreshing.

    python bench/simulate.py [--into docs/simulate.md]

Seeded; equal from run to run. Takes some ten seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from marked import replace

from kindcache.adapters.evaluation.report import as_markdown
from kindcache.adapters.simulation.example import example
from kindcache.adapters.simulation.figures import report
from kindcache.adapters.simulation.known_models import KnownModels
from kindcache.adapters.simulation.replaying import replay
from kindcache.adapters.simulation.request_log import read_log
from kindcache.adapters.simulation.tables import tables
from kindcache.adapters.simulation.virtual_time import run
from kindcache.config.load import default_path, loads

MARKS = ("<!-- simulate -->", "<!-- end of simulate -->")
REQUESTS, SEED = 10_000, 1
SHORT_LIVED = "    ttl: 5m "
STALE = "    stale_while_revalidate: 30m\n" + SHORT_LIVED


def main() -> int:
    """Simulate, print, and write into a page if asked; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    shipped = default_path().read_text(encoding="utf-8")
    policies = {"shipped": shipped, "stale for 30m": shipped.replace(SHORT_LIVED, STALE)}
    reports = []
    with tempfile.TemporaryDirectory() as folder, KnownModels(os.environ, _say) as models:
        path = Path(folder) / "example.jsonl"
        path.write_text("\n".join(example(REQUESTS, SEED)) + "\n", encoding="utf-8")
        log = read_log(path)
        for name, text in policies.items():
            replayed = run(replay(log, loads(text, name), models, os.environ))
            reports.append(report(name, log.requests, replayed))
    overview, *_ = tables(reports)
    text = as_markdown([overview], "python bench/simulate.py --into docs/simulate.md")
    print(text)
    if options.into:
        replace(options.into, MARKS, text)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
