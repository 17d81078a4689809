"""What ``kindcache tune`` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ...config.units import format_share
from ..evaluation.report import as_text
from ..evaluation.tables import Table
from .offer import evidence
from .propose import Finding, Proposal

_COLUMNS = ("category", "observed", "wrong", "rate", "bar now", "proposed", "why")
_NONE = "-"


def as_table(proposals: Sequence[Proposal]) -> str:
    """Lay the proposals out for a terminal, one category a line."""
    rows = tuple(_cells(one) for one in proposals)
    widest = max(len(row[-1]) for row in (_COLUMNS, *rows))
    # The last column is text: padded, so that the table aligns it to the left.
    padded = tuple((*row[:-1], row[-1].ljust(widest)) for row in rows)
    columns = (*_COLUMNS[:-1], _COLUMNS[-1].ljust(widest))
    table = Table("Bars that the evidence allows", columns, padded)
    return as_text([table])


def as_json(proposals: Sequence[Proposal], notes: Sequence[str], diff: str, problem: str) -> str:
    """Render everything for machine readers; ``problem`` is why there is no diff, or empty."""
    told: dict[str, Any] = {
        "categories": [_plain(one) for one in proposals],
        "notes": list(notes),
        "diff": diff,
        "problem": problem,
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def why(proposal: Proposal) -> str:
    """Say in one line why a bar is proposed, or why none is."""
    match proposal.finding:
        case Finding.CERTIFIED:
            return f"certified: {evidence(proposal)}"
        case Finding.POOLED:
            return f"certified by {evidence(proposal)}"
        case Finding.CLOSED:
            return f"{evidence(proposal)}: shadow mode"
        case Finding.UNCERTIFIED:
            return _missing(proposal)
        case Finding.NO_RATE:
            return "no max_error_rate"
        case Finding.NOT_BY_MEANING:
            return "not served by meaning: has no bar"


def _missing(proposal: Proposal) -> str:
    wrong, seen = proposal.at_bar
    found = f"not certified: {wrong:,} wrong of {seen:,} at or above the bar"
    if proposal.higher is not None:
        return f"{found}; certified only from {proposal.higher:.6g} on"
    if proposal.more:
        return f"{found}; {proposal.more:,} more without an error would do"
    if proposal.more is None:
        return f"{found}; too many to be made good"
    return f"{found}; a higher bar did not hold"


def _cells(proposal: Proposal) -> tuple[str, ...]:
    by_meaning = proposal.finding is not Finding.NOT_BY_MEANING
    return (
        proposal.category,
        f"{proposal.observations:,}",
        f"{proposal.wrong:,}",
        _NONE if proposal.rate is None else format_share(proposal.rate),
        f"{proposal.in_force:.6g}" if by_meaning else _NONE,
        _proposed(proposal),
        why(proposal),
    )


def _proposed(proposal: Proposal) -> str:
    if proposal.proposed is not None:
        return f"{proposal.proposed:.6g}"
    if proposal.bar is not None:
        return "same"
    return "none" if proposal.finding is Finding.CLOSED else _NONE


def _plain(proposal: Proposal) -> dict[str, Any]:
    return asdict(proposal) | {"proposed": proposal.proposed, "why": why(proposal)}
