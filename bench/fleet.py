"""Scale on paper: what a fleet of replicas takes, by a model that goes by measured constants.

    python bench/fleet.py                            # a table, in seconds
    python bench/fleet.py --into docs/scale.md
    python bench/fleet.py --rate 5000 --entries 1000000 --cells 1 2 4

Nothing is measured here: ``constants.json`` was (``constants.py``), the rest is the arithmetic of
``fleet_model.py``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import marked
from constants import WHERE
from fleet_model import (
    Costs,
    Demand,
    Layout,
    Traffic,
    alone,
    hit_rate,
    layout,
    modulo,
    moved,
    ring,
    traffic,
)

MARKS = ("<!-- fleet: begin -->", "<!-- fleet: end -->")
HEADS = (
    "cells", "replicas in all", "of the busiest cell", "its load, mean = 1", "hits %",
    "memory a replica, GiB", "time for others' answers %", "Redis of a cell: GiB",
    "sends to replicas MB/s", "cores for writing",
)  # fmt: skip


def costs_of(found: dict[str, Any], vectors: str) -> Costs:
    """Read the constants that ``constants.py`` has written."""
    return Costs(
        exact_us=found["exact"]["cpu_us"],
        semantic_us=found["semantic"]["cpu_us"],
        miss_us=found["miss"]["cpu_us"],
        follow_us=found["follow_us"],
        follow_bytes=found["line_bytes"] + found["record_bytes"],
        base_bytes=found["base_bytes"],
        entry_bytes=found["entry_bytes"][vectors][0],
        redis_entry_bytes=found["redis_entry_bytes"],
        redis_in_bytes=found["miss"]["redis_in_bytes"],
        redis_miss_us=found["miss"]["redis_cpu_us"],
    )


def report(asked: Traffic, demand: Demand, costs: Costs, options: argparse.Namespace) -> list[str]:
    """Return the tables as Markdown."""
    whole = hit_rate(asked, demand.entries)
    rings = {cells: ring(options.scopes, cells, options.seed) for cells in options.cells}
    found = [layout(asked, of, demand, costs) for of in rings.values()]
    lines = [*_about(demand, costs, options), ""]
    lines += [f"| {' | '.join(row)} |" for row in (HEADS, ["---:"] * len(HEADS))]
    lines += [f"| {' | '.join(_cells(each))} |" for each in found]
    lines += ["", "| another way | what comes of it |", "| --- | --- |"]
    lines += [f"| {what} | {text} |" for what, text in _others(asked, demand, options, whole)]
    return lines


def _about(demand: Demand, costs: Costs, options: argparse.Namespace) -> list[str]:
    most = demand.cores * demand.use / costs.follow_us * 1e6 if costs.follow_us else float("inf")
    lines = [
        "A model, not a measurement",
        f"Command: python {shlex.join([Path(__file__).name, *sys.argv[1:]])}",
        f"Constants measured on: {options.measured}",
        f"Asked: {demand.rate:,.0f} requests/s; room for {demand.entries:,} entries in all",
        (
            f"Scopes: {options.scopes:,} (Zipf {options.skew:g}; {_busiest(options):.1%} of the"
            " requests are of the busiest)"
        ),
        (
            f"Questions: {options.questions:,} (Zipf {options.question_skew:g} in a scope); seed"
            f" {options.seed}"
        ),
        (
            f"Processor time of an exact hit {costs.exact_us:,.0f} µs, of one by meaning"
            f" {costs.semantic_us:,.0f} µs ({demand.semantic_share:.0%} of the hits), of a miss"
            f" {costs.miss_us:,.0f} µs"
        ),
        (
            f"To take in what another replica stored: {costs.follow_us:,.0f} µs and"
            f" {costs.follow_bytes:,.0f} bytes from Redis, in each replica"
        ),
        (
            f"An entry: {costs.entry_bytes:,.0f} bytes in a replica ({options.vectors}),"
            f" {costs.redis_entry_bytes:,.0f} in Redis"
        ),
        (
            f"A replica uses {demand.use:.0%} of {demand.cores:g} cores; were it to do nothing"
            f" else, it could take in {most:,.0f} answers a second"
        ),
    ]
    return [f"- {line}" for line in lines]


def _busiest(options: argparse.Namespace) -> float:
    skew: float = options.skew
    return float(1.0 / sum(rank**-skew for rank in range(1, options.scopes + 1)))


def _cells(each: Layout) -> list[str]:
    possible = each.replicas > 0
    return [
        str(each.cells),
        f"{each.replicas_in_all:,}" if possible else "no number is enough",
        str(each.replicas) if possible else "",
        f"{each.busiest:.2f}",
        f"{each.hit_rate * 100:.1f}",
        f"{each.memory_bytes / 2**30:.1f}",
        f"{each.following * 100:.0f}",
        f"{each.redis_bytes / 2**30:.1f}",
        f"{each.stream_bytes_s / 1e6:,.0f}" if possible else "",
        f"{each.redis_cores:.2f}",
    ]


def _others(
    asked: Traffic, demand: Demand, options: argparse.Namespace, whole: float
) -> list[tuple[str, str]]:
    cells = max(options.cells)
    of, one_more = (ring(options.scopes, number, options.seed) for number in (cells, cells + 1))
    apart = alone(asked, 4 * cells, demand)
    by_modulo = (modulo(options.scopes, number, options.seed) for number in (cells, cells + 1))
    return [
        ("one cache with room for everything", f"hits {whole:.1%}: the bound for all above"),
        (
            f"any of {4 * cells} replicas, one store, nothing told between them",
            f"hits {apart:.1%}: to the letter as before, by meaning only what the replica stored",
        ),
        (
            f"from {cells} to {cells + 1} cells, consistent hashing",
            f"{moved(asked, of, one_more):.1%} of the requests find a cold cell",
        ),
        (
            f"from {cells} to {cells + 1} cells, hash modulo their number",
            f"{moved(asked, *by_modulo):.1%} of the requests find a cold cell",
        ),
    ]


def main() -> None:
    """Compute, and print."""
    parser = argparse.ArgumentParser(description="Scale on paper.")
    parser.add_argument("--rate", type=float, default=50_000.0, help="requests a second")
    parser.add_argument("--entries", type=int, default=10_000_000, help="room in all")
    parser.add_argument("--cells", type=int, nargs="+", default=[1, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--scopes", type=int, default=10_000)
    parser.add_argument("--skew", type=float, default=0.8, help="Zipf exponent of scopes")
    parser.add_argument("--questions", type=int, default=100_000_000, help="that are ever asked")
    parser.add_argument("--question-skew", type=float, default=0.9, help="Zipf exponent")
    parser.add_argument("--semantic-share", type=float, default=0.4, help="of the hits")
    parser.add_argument("--cores", type=float, default=2.0, help="that a replica can use")
    parser.add_argument("--use", type=float, default=0.7, help="share of them that may be used")
    parser.add_argument("--vectors", choices=("float32", "float16", "int8"), default="float32")
    parser.add_argument("--constants", type=Path, default=WHERE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path, help="file whose marked section is replaced")
    options = parser.parse_args()
    found = json.loads(options.constants.read_text(encoding="utf-8"))
    costs = costs_of(found, options.vectors)
    options.measured = found["measured"]
    demand = Demand(
        options.rate, options.entries, options.semantic_share, options.cores, options.use
    )
    asked = traffic(options.scopes, options.skew, options.questions, options.question_skew)
    lines = report(asked, demand, costs, options)
    print("\n".join(lines))
    if options.into is not None:
        marked.replace(options.into, MARKS, "\n".join(lines))


if __name__ == "__main__":
    main()
