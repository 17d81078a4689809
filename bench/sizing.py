"""Make the sizing tables of docs/operations.md from measured constants.

python bench/sizing.py --into docs/operations.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import marked
from constants import WHERE

MARKS = ("<!-- sizing: begin -->", "<!-- sizing: end -->")
ENTRIES = (10_000, 100_000, 500_000, 1_000_000)
HOT_BYTES = 64 << 20  # store.hot_payloads
MIXES = (  # shares of exact hits, hits by meaning and misses
    ("mostly repeated to the letter", 0.6, 0.1, 0.3),
    ("help desk", 0.3, 0.4, 0.3),
    ("little repeats", 0.1, 0.1, 0.8),
)
USE = 0.7  # of a core: what is left keeps queues short


def lines(found: dict[str, Any]) -> list[str]:
    """Return both tables as Markdown."""
    return [
        f"- Constants measured on: {found['measured']}; `bench/constants.py`",
        f"- An empty process takes {found['base_bytes'] / 2**20:,.0f} MiB",
        "",
        "| entries | vectors | a replica, MiB | while one graph of all is built | Redis, MiB |",
        "| ---: | --- | ---: | ---: | ---: |",
        *(_row(found, entries, vectors) for entries in ENTRIES for vectors in found["entry_bytes"]),
        "",
        "| traffic | exact, by meaning, miss | processor a request, µs | requests/s a core |",
        "| --- | ---: | ---: | ---: |",
        *(_mix(found, *mix) for mix in MIXES),
    ]


def _row(found: dict[str, Any], entries: int, vectors: str) -> str:
    rest, building = (
        (found["base_bytes"] + HOT_BYTES + entries * each) / 2**20
        for each in found["entry_bytes"][vectors]
    )
    redis = entries * found["redis_entry_bytes"] / 2**20
    return f"| {entries:,} | {vectors} | {rest:,.0f} | {building:,.0f} | {redis:,.0f} |"


def _mix(found: dict[str, Any], name: str, exact: float, semantic: float, miss: float) -> str:
    shares = {"exact": exact, "semantic": semantic, "miss": miss}
    cost_us = sum(share * found[kind]["cpu_us"] for kind, share in shares.items())
    text = ", ".join(f"{share:.0%}" for share in shares.values())
    return f"| {name} | {text} | {cost_us:,.0f} | {USE * 1e6 / cost_us:,.0f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Make the sizing tables.")
    parser.add_argument("--constants", type=Path, default=WHERE)
    parser.add_argument("--into", type=Path, help="file whose marked section is replaced")
    options = parser.parse_args()
    text = "\n".join(lines(json.loads(options.constants.read_text(encoding="utf-8"))))
    print(text)
    if options.into is not None:
        marked.replace(options.into, MARKS, text)


if __name__ == "__main__":
    main()
