"""What a trial of replicas comes to: counts, and whether anything was wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from replicas_truth import Checked

from kindcache.cache.replication.digest import Digest

MARKS = ("<!-- replicas: begin -->", "<!-- replicas: end -->")
QUIET_WANTED_S = 5.0
SPREAD_WANTED_S = 0.1
SHOWN = (
    "requests",
    "in a killed process",
    "exact",
    "semantic",
    "misses",
    "kill a replica",
    "pause a replica",
    "pause redis",
    "stop redis",
    "kill redis",
    "invalidations",
    "invalidations that had to be asked again",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen."""

    counts: Counter[str]
    checked: Checked
    asked_s: float
    times_s: Sequence[float]
    spread_s: Sequence[float]  # from an answer until another replica gave it for other words
    ready_s: Sequence[float]  # of each start of a replica
    quiet_s: float  # until all were equal
    truth: Digest
    held: Sequence[Digest]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something held, and in what figures."""

    what: str
    passed: bool
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {'yes' if self.passed else 'NO'}: {self.text}"


def report(outcome: Outcome, about: Sequence[str], *, volatile: bool) -> tuple[list[str], bool]:
    """Return the report as Markdown, and whether everything held."""
    counts, found = outcome.counts, verdicts(outcome)
    lines = [f"- {line}" for line in about]
    kept = "forgets everything when it stops" if volatile else "keeps what it has"
    p50, p99 = np.percentile(outcome.times_s or [0.0], [50, 99])
    lines += [
        (
            f"- {counts['requests']:,} requests in {outcome.asked_s:.0f} s"
            f" ({counts['requests'] / max(outcome.asked_s, 1e-9):.0f}/s), p50 {p50 * 1e3:.1f} ms,"
            f" p99 {p99 * 1e3:.0f} ms, longest {max(outcome.times_s, default=0.0):.1f} s;"
            f" Redis {kept}"
        ),
        (
            f"- A replica took {np.median(outcome.ready_s):.1f} s (median of"
            f" {len(outcome.ready_s)} starts) from its start to its first request"
        ),
        "",
        "| what | how many |",
        "| --- | ---: |",
        *(f"| {name} | {counts[name]:,} |" for name in SHOWN),
        "",
        *(f"- {verdict}" for verdict in found),
    ]
    return lines, all(verdict.passed for verdict in found)


def verdicts(outcome: Outcome) -> list[Verdict]:
    """Judge what was seen."""
    counts, checked = outcome.counts, outcome.checked
    hits = counts["exact"] + counts["semantic"]
    same = all(one == outcome.truth for one in outcome.held)
    p50, p95 = np.percentile(outcome.spread_s, [50, 95])
    late = (
        f"{checked.late} more than {checked.lag_s:g} s after the call had returned; within that,"
        f" {checked.within_lag}, the latest {checked.latest_s * 1e3:.0f} ms after it"
    )
    return [
        Verdict("No request failed", not counts["failed"], f"{counts['failed']} failed"),
        Verdict("No answer of another scope", not checked.cross_scope, f"{checked.cross_scope}"),
        Verdict(
            "No answer to another question",
            not checked.other_question,
            f"{checked.other_question}",
        ),
        Verdict("Nothing invalidated served late", not checked.late, late),
        Verdict(
            "Nothing of it by the process that was asked",
            not checked.late_at_home,
            f"{checked.late_at_home}",
        ),
        Verdict(
            f"All indexes as Redis within {QUIET_WANTED_S:g} s of quiet",
            same and outcome.quiet_s <= QUIET_WANTED_S,
            f"{'equal' if same else 'NOT equal'} after {outcome.quiet_s:.1f} s;"
            f" Redis has {outcome.truth.entries} entries, the replicas"
            f" {', '.join(str(one.entries) for one in outcome.held)}",
        ),
        Verdict(
            "By meaning on another replica within 100 ms of the answer",
            bool(p50 <= SPREAD_WANTED_S),
            f"before anything was broken, {len(outcome.spread_s)} answers: p50"
            f" {p50 * 1e3:.1f} ms, p95 {p95 * 1e3:.1f} ms",
        ),
        Verdict("There were hits", hits > 0, f"{hits:,}"),
    ]
