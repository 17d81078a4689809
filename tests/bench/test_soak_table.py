"""A soak is judged by what grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from soak_table import Sample, as_csv, findings, report

STEADY = Sample(
    at_s=0.0,
    resident_bytes=300 << 20,
    files=90,
    threads=11,
    store_bytes=9 << 20,
    tasks=30,
    entries=2_000,
    evicted=100,
    asked=500,
    hits=300,
    failed=0,
    late=0,
    p50_ms=5.0,
    p99_ms=50.0,
)


def soak(change: Callable[[Sample], Sample] = lambda each: each) -> list[Sample]:
    """An hour, a sample every half minute."""
    return [change(replace(STEADY, at_s=30.0 * number)) for number in range(121)]


def failed(samples: list[Sample]) -> list[str]:
    return [finding.what for finding in findings(samples) if not finding.passed]


def test_what_stays_passes() -> None:
    assert failed(soak()) == []


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("Memory flat", lambda s: replace(s, resident_bytes=s.resident_bytes + int(s.at_s * 9e3))),
        ("Hit rate flat", lambda s: replace(s, hits=300 - int(s.at_s / 100))),
        ("No more files", lambda s: replace(s, files=90 + int(s.at_s / 600))),
        ("No more threads", lambda s: replace(s, threads=11 + int(s.at_s / 600))),
        ("No more tasks", lambda s: replace(s, tasks=30 + int(s.at_s / 100))),
        ("All answered", lambda s: replace(s, failed=int(s.at_s == 600.0))),
    ],
)
def test_what_grows_is_named(what: str, change: Callable[[Sample], Sample]) -> None:
    assert failed(soak(change)) == [what]


def test_the_first_quarter_may_still_settle() -> None:
    def warming(each: Sample) -> Sample:
        return replace(each, resident_bytes=min(300 << 20, (200 << 20) + int(each.at_s * 2e5)))

    assert failed(soak(warming)) == []


def test_one_sample_in_a_rebuild_is_no_growth() -> None:
    def rebuilt(each: Sample) -> Sample:
        return replace(each, resident_bytes=(400 if each.at_s == 1800.0 else 300) << 20)

    assert failed(soak(rebuilt)) == []


def test_chance_in_a_short_run_is_no_drift() -> None:
    few = [replace(STEADY, at_s=5.0 * n, asked=50, hits=30 + (n % 3 - 1) * 4) for n in range(12)]
    assert failed(few) == []


def test_the_report_has_a_line_for_each_part_and_all_verdicts() -> None:
    lines, passed = report(soak(), ["Machine: any"])
    assert passed
    assert lines[0] == "- Machine: any"
    assert len([line for line in lines if line.startswith("| ")]) == 2 + 12
    assert len([line for line in lines if ": yes: " in line]) == 6
    last = next(line for line in reversed(lines) if line.startswith("| "))
    assert last.split(" | ")[0:2] == ["| 60.0", "300"]
    assert last.split(" | ")[8:10] == ["17", "60.0%"]  # 500 in half a minute


def test_the_csv_has_every_sample() -> None:
    rows = as_csv(soak()).splitlines()
    assert rows[0].startswith("at_s,resident_bytes,")
    assert len(rows) == 122


def test_too_short_a_soak_is_refused() -> None:
    with pytest.raises(ValueError, match="eight samples"):
        findings(soak()[:7])
