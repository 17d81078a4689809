"""Reports as tables, the policies side by side, and what must be said with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..evaluation.intervals import Share
from ..evaluation.tables import Table
from .figures import Figures, PolicyReport
from .request_log import RequestLog

Reports = Sequence[PolicyReport]
Cell = Callable[[PolicyReport], str]

NOTE = (
    "Hits are exact and semantic ones. Wrong: the answer was made for a request with another key; "
    "of the hits and joined calls with known keys, in brackets the 95 % Wilson interval. Stale: of "
    "the hits. Saved time is what callers did not wait; saved tokens are less those of refreshes."
)
ROOM_NOTE = "At the end of the log, but for the most entries, looked at 200 times over it."
BY_CATEGORY = (
    "category",
    "policy",
    "requests",
    "hits, %",
    "exact",
    "semantic",
    "joined",
    "misses",
    "bypasses",
    "wrong, %",
    "stale, %",
    "saved s",
    "saved tokens",
)


def tables(reports: Reports) -> list[Table]:
    """Return all tables."""
    return [_overview(reports), _categories(reports), _room(reports), _reasons(reports)]


def notes(log: RequestLog, reports: Reports) -> list[str]:
    """Return what qualifies the figures, a sentence each."""
    size = len(log.requests)
    found = [f"{size:,} requests over {duration(log.span_s)}."]
    if log.late:
        found.append(f"{log.late:,} lines came after later ones: all were sorted by time.")
    if log.bad:
        found.append(f"{log.bad:,} bad lines were left out; the first: {log.first_bad}")
    unnamed = sum(request.principal is None for request in log.requests)
    if unnamed:
        found.append(
            f"{unnamed:,} requests name no `principal`: they count as one caller, unless their"
            " headers tell."
        )
    found += _unknown(log, size)
    for report in reports:
        found += [f"{report.policy}: not simulated: {phrase}." for phrase in report.left_out]
        for failure, count in report.failures.items():
            found.append(f"{report.policy}: {count:,} failures of the cache ({failure}).")
    return found


def duration(seconds: float) -> str:
    """Return a time in its two largest units, "3 h 12 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.3g} s"
    for name, unit, small, part in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= unit:
            return f"{whole // unit:,} {name} {whole % unit // part} {small}"
    raise AssertionError(whole)


def _unknown(log: RequestLog, size: int) -> list[str]:
    requests = log.requests
    counted = (
        (
            sum(one.latency_s is None for one in requests),
            "no `latency_s`: their answers are there at once, and save no time",
        ),
        (sum(one.tokens is None for one in requests), "no `usage`: they save no tokens"),
        (
            sum(one.key is None for one in requests),
            "no `key`: nobody can tell whether their answers are right",
        ),
        (
            sum(one.answer is None for one in requests),
            "no `answer`: what they take in bytes is too little",
        ),
    )
    return [
        f"{'All' if count == size else f'{count:,}'} requests have {what}."
        for count, what in counted
        if count
    ]


def _overview(reports: Reports) -> Table:
    lines: list[tuple[str, Cell]] = [
        ("hits, %", lambda one: _percent(one.overall.hits)),
        ("exact", lambda one: f"{one.overall.exact:,}"),
        ("semantic", lambda one: f"{one.overall.semantic:,}"),
        ("joined an equal call", lambda one: f"{one.overall.joined:,}"),
        ("misses", lambda one: f"{one.overall.misses:,}"),
        ("bypasses", lambda one: f"{one.overall.bypasses:,}"),
        ("stood in for errors", lambda one: f"{one.overall.stood_in:,}"),
        ("wrong, %", lambda one: _with_interval(one.overall.wrong)),
        ("stale, %", lambda one: _percent(one.overall.stale)),
        ("relaxed by load", lambda one: f"{one.overall.relaxed:,}"),
        ("calls to the model", lambda one: f"{one.calls:,}"),
        ("of them refreshes", lambda one: f"{one.refreshes:,}"),
        ("saved time, s", lambda one: _seconds(one.overall)),
        ("saved time, %", lambda one: _share(one.overall.saved_s, one.overall.spent_s)),
        ("saved tokens", lambda one: _tokens(one.overall)),
        ("saved tokens, %", lambda one: _share(one.overall.saved_tokens, one.overall.spent_tokens)),
        ("entries at the end", lambda one: f"{sum(room.entries for room in one.room):,}"),
        ("gave way", lambda one: f"{sum(room.gave_way for room in one.room):,}"),
        ("category as logged, %", lambda one: _percent(one.decided)),
    ]
    return Table(
        title="All requests",
        columns=("", *(report.policy for report in reports)),
        rows=tuple((name, *(cell(report) for report in reports)) for name, cell in lines),
        note=NOTE,
    )


def _categories(reports: Reports) -> Table:
    rows = [
        (
            one.name,
            report.policy,
            f"{one.requests:,}",
            _percent(one.hits),
            f"{one.exact:,}",
            f"{one.semantic:,}",
            f"{one.joined:,}",
            f"{one.misses:,}",
            f"{one.bypasses:,}",
            _with_interval(one.wrong),
            _percent(one.stale),
            _seconds(one),
            _tokens(one),
        )
        for name in _in_order([one.name for report in reports for one in report.categories])
        for report in reports
        for one in report.categories
        if one.name == name
    ]
    return Table("By category, as decided", BY_CATEGORY, tuple(rows))


def _room(reports: Reports) -> Table:
    rows = [
        (
            room.category,
            report.policy,
            f"{room.entries:,}",
            f"{room.size_bytes / 1024:,.1f}",
            f"{room.most:,}",
            f"{room.guaranteed:,}",
            f"{room.gave_way:,}",
        )
        for name in _in_order([room.category for report in reports for room in report.room])
        for report in reports
        for room in report.room
        if room.category == name
    ]
    columns = ("category", "policy", "entries", "KiB", "most", "guaranteed", "gave way")
    return Table("Room", columns, tuple(rows), ROOM_NOTE)


def _reasons(reports: Reports) -> Table:
    names = _in_order([reason for report in reports for reason in report.reasons])
    return Table(
        title="Why requests were no hits",
        columns=("reason", *(report.policy for report in reports)),
        rows=tuple(
            (name, *(f"{report.reasons.get(name, 0):,}" for report in reports)) for name in names
        ),
    )


def _in_order(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _percent(share: Share) -> str:
    return "-" if share.value is None else f"{100 * share.value:.1f}"


def _with_interval(share: Share) -> str:
    if share.value is None:
        return "-"
    low, high = share.interval
    return f"{100 * share.value:.2f} ({100 * low:.2f}-{100 * high:.2f})"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


def _seconds(one: Figures) -> str:
    return f"{one.saved_s:,.1f}" if one.spent_s else "-"


def _tokens(one: Figures) -> str:
    return f"{one.saved_tokens:,}" if one.spent_tokens else "-"
