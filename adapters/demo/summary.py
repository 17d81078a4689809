"""From the outcomes of single requests to figures and the summary. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from statistics import median

from ..evaluation.intervals import Share
from .traffic import Kind, Prompt

MAX_WRONG_SHOWN = 5


class Result(StrEnum):
    """What the cache did; the values of ``X-Cache`` in lower case."""

    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request and what came back."""

    prompt: Prompt
    result: Result
    text: str
    latency_s: float  # from sending to the last byte
    tier: str = ""
    category: str = ""  # as the proxy decided; "" = it does not say
    reason: str = ""
    similarity: float | None = None
    entry: str = ""  # opaque id of the entry that answered, or that a miss fills
    tokens: int = 0  # by the usage of the answer
    model: str = ""


class Ruling(StrEnum):
    """Whether a hit was the right answer."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"  # filled by nobody we saw


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one category, or of all."""

    name: str
    requests: int
    exact: int
    semantic: int
    misses: int
    bypasses: int
    wrong: int
    hit_s: tuple[float, ...]  # sorted latencies
    miss_s: tuple[float, ...]
    saved_s: float | None  # None = no miss to compare with
    saved_tokens: int

    @property
    def hits(self) -> int:
        """Count the hits of both tiers."""
        return self.exact + self.semantic


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the table and the summary show."""

    rows: tuple[Row, ...]
    total: Row
    unknown: int  # hits whose origin this run did not see
    served: dict[Kind, Share]  # hits of the requests that were looked up
    wrong_hits: tuple[Outcome, ...]
    classified: Share  # as the traffic is labelled, of those for which the proxy names a category
    model: str


def rule(outcomes: Sequence[Outcome]) -> list[Ruling | None]:
    """Say of every hit whether its answer was right; None for misses and bypasses.

    The entry's id tells which prompt filled it. Where it is not known the text does: it is the one
    received on a miss of the same key (right), or only of other keys (wrong).
    """
    by_entry: dict[str, str] = {}
    by_text: defaultdict[str, set[str]] = defaultdict(set)
    for outcome in outcomes:
        if outcome.result is Result.MISS:
            by_text[outcome.text].add(outcome.prompt.key)
            if outcome.entry:
                by_entry[outcome.entry] = outcome.prompt.key
    rulings: list[Ruling | None] = []
    for outcome in outcomes:
        if outcome.result is not Result.HIT:
            rulings.append(None)
            continue
        origin = by_entry.get(outcome.entry)
        keys = {origin} if origin else by_text.get(outcome.text, set())
        right = Ruling.RIGHT if outcome.prompt.key in keys else Ruling.WRONG
        rulings.append(right if keys else Ruling.UNKNOWN)
    return rulings


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of sorted values, None when there are none."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """Count everything anew; rows in order of first appearance."""
    rulings = rule(outcomes)
    wrong = [o for o, r in zip(outcomes, rulings, strict=True) if r is Ruling.WRONG]
    usual_miss_s = _usual([o.latency_s for o in outcomes if o.result is Result.MISS])
    groups: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.prompt.category].append(outcome)
    rows = tuple(_row(name, group, wrong, usual_miss_s) for name, group in groups.items())
    total = _row("total", outcomes, wrong, usual_miss_s, sum_of=rows)
    named = [o for o in outcomes if o.category]
    return Figures(
        rows=rows,
        total=total,
        unknown=rulings.count(Ruling.UNKNOWN),
        served={kind: _served(outcomes, kind) for kind in Kind},
        wrong_hits=tuple(wrong),
        classified=Share(sum(o.category == o.prompt.category for o in named), len(named)),
        model=next((o.model for o in outcomes if o.model), ""),
    )


def _usual(latencies: Iterable[float]) -> float | None:
    known = list(latencies)
    return median(known) if known else None


def _row(
    name: str,
    outcomes: Sequence[Outcome],
    wrong: Iterable[Outcome],
    usual_miss_s: float | None,
    sum_of: Sequence[Row] = (),
) -> Row:
    hits = [o for o in outcomes if o.result is Result.HIT]
    misses = [o for o in outcomes if o.result is Result.MISS]
    exact = sum(o.tier == "exact" for o in hits)
    names = {o.prompt.category for o in outcomes}
    usual = _usual(o.latency_s for o in misses) or usual_miss_s
    saved = None if usual is None else usual * len(hits) - sum(o.latency_s for o in hits)
    if sum_of and saved is not None:
        saved = sum(row.saved_s or 0.0 for row in sum_of)
    return Row(
        name=name,
        requests=len(outcomes),
        exact=exact,
        semantic=len(hits) - exact,
        misses=len(misses),
        bypasses=len(outcomes) - len(hits) - len(misses),
        wrong=sum(o.prompt.category in names for o in wrong),
        hit_s=tuple(sorted(o.latency_s for o in hits)),
        miss_s=tuple(sorted(o.latency_s for o in misses)),
        saved_s=saved,
        saved_tokens=sum(o.tokens for o in hits),
    )


def _served(outcomes: Sequence[Outcome], kind: Kind) -> Share:
    asked = [o for o in outcomes if o.prompt.kind is kind and o.result is not Result.BYPASS]
    return Share(sum(o.result is Result.HIT for o in asked), len(asked))


def milliseconds(seconds: float | None) -> str:
    """Render a latency in ms with three digits at most."""
    if seconds is None:
        return "-"
    value = 1000 * seconds
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def summary(figures: Figures, *, address: str, note: str = "") -> list[str]:
    """Return the lines that a person would paste into a report."""
    total = figures.total
    lines = [
        f"kindcache demo: {total.requests} requests to {address}, {_model(figures.model)}",
        (
            f"Hits: {total.hits} of {total.requests} ({_percent(total.hits, total.requests)}): "
            f"{total.exact} exact, {total.semantic} semantic; "
            f"{total.misses} misses, {total.bypasses} bypasses"
        ),
        _wrong_line(figures),
        "Served of those looked up: "
        + ", ".join(
            f"{figures.served[kind].part} of {figures.served[kind].whole} {kind}s"
            for kind in (Kind.REPEAT, Kind.PARAPHRASE, Kind.TRAP)
        ),
        f"Latency: hits {_latency(total.hit_s)}; misses {_latency(total.miss_s)}",
        (
            f"Saved: {'-' if total.saved_s is None else f'{total.saved_s:,.1f} s'} of waiting, "
            f"{total.saved_tokens:,} tokens (by the usage of the answers served)"
        ),
    ]
    if figures.classified.whole:
        lines.append(
            f"Categories: {figures.classified.part} of {figures.classified.whole} "
            "prompts classified as labelled"
        )
    if figures.wrong_hits:
        lines.append(f"Wrongly served: {_wrong_list(figures.wrong_hits)}")
    return [*lines, note] if note else lines


def _model(name: str) -> str:
    kind = " (demo model: made-up answers)" if "demo" in name.lower() else ""
    return f"model {name or 'unknown'}{kind}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _latency(ordered: Sequence[float]) -> str:
    p50, p99 = (milliseconds(percentile(ordered, share)) for share in (0.50, 0.99))
    return f"p50 {p50} ms, p99 {p99} ms" if ordered else "none"


def _wrong_line(figures: Figures) -> str:
    judged = Share(figures.total.wrong, figures.total.hits - figures.unknown)
    low, high = judged.interval
    line = f"Wrong answers: {judged.part} of {judged.whole} hits"
    if judged.whole:
        line += (
            f" ({_percent(judged.part, judged.whole)}, "
            f"95 % Wilson interval {100 * low:.1f} to {100 * high:.1f} %), "
            f"{_percent(judged.part, figures.total.requests)} of requests"
        )
    if figures.unknown:
        line += f"; {figures.unknown} hits on answers from before this run, not judged"
    return line


def _wrong_list(wrong: Sequence[Outcome]) -> str:
    shown = [
        f"{o.prompt.id} ({o.prompt.kind}"
        + (")" if o.similarity is None else f", similarity {o.similarity:.3f})")
        for o in wrong[:MAX_WRONG_SHOWN]
    ]
    more = len(wrong) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
