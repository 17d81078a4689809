"""Count what requests cost, and hold it against ``gate_bounds.py``. Part of ``scripts/test``.

    python bench/gate.py          # a table; exit status 1 when a bound is broken
    python bench/gate.py --json   # what was counted

No figure is a time: they are counts, and one ratio to a bare app in the same run. So they are the
same on any machine, give or take Python's version, and beside any load.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys

from gate_bounds import BOUNDS
from gate_counting import counts, growth, ratio
from gate_paths import paths

Figures = dict[str, dict[str, float]]  # path -> what -> count


async def measure() -> Figures:
    """Count everything."""
    async with paths() as (ways, bare):
        gc.disable()
        found: Figures = {name: counts(path) for name, path in ways.items()}
        exact = ways["exact hit"]
        found["exact hit"]["blocks kept"] = growth(exact)
        found["exact hit"]["times a bare app"] = ratio(exact, bare)
    return found


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description="Count what requests cost.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure())
    if options.json:
        print(json.dumps(found))
        return 0
    broken = 0
    for bound in BOUNDS:
        figure = found[bound.path][bound.what]
        broken += figure > bound.most
        mark = "  TOO MUCH" if figure > bound.most else ""
        print(f"{bound.path:18} {bound.what:24} {figure:10,.6g} of {bound.most:>8,g}{mark}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
