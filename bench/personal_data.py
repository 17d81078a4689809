"""False alarms of the search for personal data, and what it costs a prompt.

Run from the repository root with KINDCACHE_EVALDATA set; --write puts the table into
docs/policies.md. The prompts are public questions, which should hold next to none, so that what is
found in them is, as far as anybody can tell, a false alarm.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from marked import replace

from kindcache.config.category_settings import PERSONAL_KINDS
from kindcache.policies.personal.finder import Finder, finder

PAGE = Path("docs/policies.md")
MARKS = ("<!-- personal data: begin -->", "<!-- personal data: end -->")
FIELDS = ("prompt", "text", "q1", "q2")
HEADS = ("prompts", "distinct", "flagged", "%", "kinds", "median us", "99 % us")


def prompts(path: Path) -> set[str]:
    """Return the distinct prompts of one file."""
    opened = gzip.open if path.suffix == ".gz" else open
    found: set[str] = set()
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            found.update(row[name] for name in FIELDS if isinstance(row.get(name), str))
    return found


def row(name: str, texts: set[str], look: Finder, rounds: int) -> tuple[str, ...]:
    """Measure one file; each prompt's time is the least of its rounds."""
    kinds: Counter[str] = Counter()
    flagged, took_s = 0, []
    for text in sorted(texts):
        best_s = float("inf")
        for _ in range(rounds):
            started = time.perf_counter()
            found = look.kinds(text)
            best_s = min(best_s, time.perf_counter() - started)
        took_s.append(best_s)
        kinds.update(found)
        flagged += bool(found)
    took_s.sort()
    count = len(took_s)
    shown = ", ".join(f"{kind} {number}" for kind, number in kinds.most_common()) or "-"
    share, slow_s = 100 * flagged / count, took_s[int(0.99 * count)]
    times = (f"{1e6 * median(took_s):.1f}", f"{1e6 * slow_s:.0f}")
    return (name, f"{count:,}", str(flagged), f"{share:.2f}", shown, *times)


def files(root: Path) -> Iterator[Path]:
    """Yield the files of prompts."""
    for folder in ("streams", "categories", "pairs", "train"):
        yield from sorted((root / folder).glob("*.jsonl*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    look = finder(frozenset(PERSONAL_KINDS))
    assert look is not None
    rows, everything = [], set[str]()
    for path in files(Path(os.environ["KINDCACHE_EVALDATA"])):
        texts = prompts(path)
        if texts:
            everything |= texts
            rows.append(row(path.name.partition(".")[0], texts, look, options.rounds))
    rows.append(row("all", everything, look, options.rounds))
    lines = [f"| {' | '.join(cells)} |" for cells in (HEADS, ("---",) * len(HEADS), *rows)]
    table = "\n".join(lines)
    print(table)
    if options.write:
        replace(PAGE, MARKS, table)


if __name__ == "__main__":
    main()
