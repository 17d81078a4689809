"""The page of the eviction experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Protocol

from eviction_stream import KINDS, Drawn

VALUE = "value"
# By number of values: the 97.5 % point of Student's distribution with one degree of freedom less.
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
REPEATING = [number for number, kind in enumerate(KINDS) if kind.weight]


class Counted(Protocol):
    """What a replay counted, by kind."""

    asked: list[int]
    hits: list[int]
    saved_s: list[float]
    evictions: int


Found = tuple[Drawn, Counted, Mapping[tuple[str, float], Counted]]  # one seed


def page(found: Sequence[Found], shares: Sequence[float], policies: Sequence[str]) -> str:
    """Return the tables in Markdown. The first of ``policies`` is compared with the rest."""
    lines = [*_about(found), "", *_heads()]
    lines += [_row(found, name, share) for share in shares for name in policies]
    lines += ["", "Paired over seeds, percentage points of saved time, `value` against each:", ""]
    others = [name for name in policies if name != VALUE]
    lines += [f"| room | {' | '.join(others)} |", f"| ---: |{' ---: |' * len(others)}"]
    for share in shares:
        cells = [
            interval([saved(one, VALUE, share) - saved(one, name, share) for one in found], 100)
            for name in others
        ]
        lines.append(f"| {share:.0%} | {' | '.join(cells)} |")
    lost = [
        f"{share:.0%} against {name}"
        for share in shares
        for name in others
        if mean(saved(one, VALUE, share) - saved(one, name, share) for one in found) < 0
    ]
    lines += ["", f"Cells that `value` lost on saved time: {', '.join(lost) or 'none'}."]
    lines += [f"Cells that it lost on hits: {', '.join(_fewer(found, shares, others)) or 'none'}."]
    return "\n".join(lines)


def saved(one: Found, name: str, share: float) -> float:
    """Return the share of the time that a room for everything saves."""
    _, whole, cells = one
    return sum(cells[name, share].saved_s) / sum(whole.saved_s)


def hits(one: Found, name: str, share: float) -> float:
    """Return the hits of all requests."""
    cell = one[2][name, share]
    return sum(cell.hits) / sum(cell.asked)


def interval(values: Sequence[float], scale: float) -> str:
    """Write the mean of ``values`` and its 95 % interval."""
    half = STUDENT[len(values)] * stdev(values) / math.sqrt(len(values))
    return f"{mean(values) * scale:.1f} ± {half * scale:.1f}"


def _about(found: Sequence[Found]) -> list[str]:
    requests = mean(len(drawn.requests) for drawn, _, _ in found)
    hours = mean(drawn.requests[-1][0] for drawn, _, _ in found) / 3600
    whole = [sum(counted.hits) / sum(counted.asked) for _, counted, _ in found]
    tokens_ms = [1000 * each for drawn, _, _ in found for each in drawn.a_token_s[:-1]]
    return [
        f"- Seeds: {len(found)}; {requests:,.0f} requests in {hours:.1f} h each",
        f"- Hits with room for everything: {interval(whole, 100)} % of requests",
        f"- A token takes {min(tokens_ms):.0f} to {max(tokens_ms):.0f} ms, by kind and seed",
    ]


def _heads() -> list[str]:
    names = [f"{KINDS[number].name} hits %" for number in REPEATING]
    heads = ["room", "policy", "time saved %", "hits %", *names, "evictions"]
    return [f"| {' | '.join(heads)} |", f"| ---: | --- |{' ---: |' * (len(heads) - 2)}"]


def _row(found: Sequence[Found], name: str, share: float) -> str:
    cells = [one[2][name, share] for one in found]
    kinds = [
        interval([cell.hits[kind] / cell.asked[kind] for cell in cells], 100) for kind in REPEATING
    ]
    return " | ".join(
        [
            f"| {share:.0%}",
            name,
            interval([saved(one, name, share) for one in found], 100),
            interval([hits(one, name, share) for one in found], 100),
            *kinds,
            f"{mean(cell.evictions for cell in cells):,.0f} |",
        ]
    )


def _fewer(found: Sequence[Found], shares: Sequence[float], others: Sequence[str]) -> list[str]:
    return [
        f"{share:.0%} against {name}"
        for share in shares
        for name in others
        if mean(hits(one, VALUE, share) - hits(one, name, share) for one in found) < 0
    ]
