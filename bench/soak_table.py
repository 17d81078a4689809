"""What a soak comes to: a line a minute or so, and whether anything grew."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median

import numpy as np

MARKS = ("<!-- soak: begin -->", "<!-- soak: end -->")
FLAT = 0.05  # of memory: range and drift, as a share of its median
HIT_RATE_DRIFT = 0.02  # absolute, over the time looked at
SURE = 2.6  # standard errors: in a short run chance alone moves the rate further
MORE_FILES = 2  # connections to the model come and go
MORE_TASKS = 0.25  # of the most before; a task may serve a request under way
LINES = 12  # of the table
HEADS = (
    "minutes", "memory MiB", "store MiB", "files", "threads", "tasks", "entries", "evicted",
    "requests/s", "hits %", "p50 ms", "p99 ms", "failed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """The state at ``at_s``, and the requests since the sample before."""

    at_s: float
    resident_bytes: int
    files: int
    threads: int
    store_bytes: int  # of the store's files
    tasks: int
    entries: int
    evicted: int  # since the start
    asked: int
    hits: int
    failed: int
    late: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether something stayed as it was, and in what figures."""

    what: str
    passed: bool
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {'yes' if self.passed else 'NO'}: {self.text}"


def report(samples: Sequence[Sample], about: Sequence[str]) -> tuple[list[str], bool]:
    """Return the report as Markdown, and whether everything passed."""
    found = findings(samples)
    rule = ["---:"] * len(HEADS)
    parts = _parts(samples, LINES)
    begins_s = [0.0, *(part[-1].at_s for part in parts)]
    cells = [HEADS, rule, *map(_cells, parts, begins_s)]
    table = [f"| {' | '.join(line)} |" for line in cells]
    lines = [f"- {line}" for line in about]
    lines += ["", *table, "", *(f"- {finding}" for finding in found)]
    return lines, all(finding.passed for finding in found)


def findings(samples: Sequence[Sample]) -> list[Finding]:
    """Judge what came after the first quarter. Needs at least eight samples."""
    if len(samples) < 8:
        raise ValueError("a soak needs at least eight samples")
    end_s = samples[-1].at_s
    looked_at = [each for each in samples if each.at_s >= end_s / 4]
    return [
        _memory(looked_at),
        _hit_rate(looked_at),
        _bounded("No more files", [each.files for each in looked_at], MORE_FILES),
        _bounded("No more threads", [each.threads for each in looked_at], MORE_FILES),
        _tasks(looked_at),
        _all_answered(samples),
    ]


def as_csv(samples: Sequence[Sample]) -> str:
    """Return all samples as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [each.name for each in fields(Sample)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(each) for each in samples)
    return text.getvalue()


def _memory(samples: Sequence[Sample]) -> Finding:
    """A tenth of the samples makes a point: one sample may fall into a rebuild."""
    points = [median(each.resident_bytes for each in part) for part in _parts(samples, 10)]
    middle = median(points)
    spread = (max(points) - min(points)) / middle
    drift = _slope(samples, [each.resident_bytes for each in samples]) / middle
    text = (
        f"range {spread:.1%} of {middle / 2**20:.0f} MiB, drift {drift:+.1%} over the time looked"
        f" at, at most {FLAT:.0%} wanted"
    )
    return Finding("Memory flat", spread <= FLAT and abs(drift) <= FLAT, text)


def _hit_rate(samples: Sequence[Sample]) -> Finding:
    rates = [each.hits / each.asked for each in samples if each.asked]
    drift = _slope([each for each in samples if each.asked], rates)
    mean = sum(each.hits for each in samples) / sum(each.asked for each in samples)
    # The standard error of a slope over n draws of a share.
    asked = sum(each.asked for each in samples)
    allowed = max(HIT_RATE_DRIFT, SURE * (12 * mean * (1 - mean) / asked) ** 0.5)
    text = f"{mean:.1%}, drift {drift * 100:+.1f} points, at most {allowed * 100:.1f} wanted"
    return Finding("Hit rate flat", abs(drift) <= allowed, text)


def _bounded(what: str, counts: Sequence[int], allowed: float) -> Finding:
    """Compare the most in the last third with the most in the first."""
    before, after = max(counts[: len(counts) // 3]), max(counts[-(len(counts) // 3) :])
    text = f"at most {before} in the first third, {after} in the last"
    return Finding(what, after <= before + allowed, text)


def _tasks(samples: Sequence[Sample]) -> Finding:
    tasks = [each.tasks for each in samples]
    allowed = max(MORE_FILES, MORE_TASKS * max(tasks[: len(tasks) // 3]))
    return _bounded("No more tasks", tasks, allowed)


def _all_answered(samples: Sequence[Sample]) -> Finding:
    asked, failed = sum(each.asked for each in samples), sum(each.failed for each in samples)
    late = sum(each.late for each in samples)
    text = f"{failed} of {asked:,} failed; {late:,} waited for a free connection of the client"
    return Finding("All answered", failed == 0, text)


def _slope(samples: Sequence[Sample], values: Sequence[float]) -> float:
    """Return by how much ``values`` rise from the first sample to the last, by least squares."""
    times = np.array([each.at_s for each in samples])
    rise = float(np.polyfit(times, np.array(values, dtype=float), 1)[0])
    return rise * float(times[-1] - times[0])


def _parts(samples: Sequence[Sample], count: int) -> list[Sequence[Sample]]:
    ends = np.linspace(0, len(samples), min(count, len(samples)) + 1).astype(int)
    return [samples[begin:end] for begin, end in itertools.pairwise(ends)]


def _cells(part: Sequence[Sample], begin_s: float) -> list[str]:
    last = part[-1]
    asked = sum(each.asked for each in part)
    rate = asked / max(last.at_s - begin_s, 1e-9)
    return [
        f"{last.at_s / 60:.1f}",
        f"{median(each.resident_bytes for each in part) / 2**20:.0f}",
        f"{last.store_bytes / 2**20:.1f}",
        str(max(each.files for each in part)),
        str(max(each.threads for each in part)),
        str(max(each.tasks for each in part)),
        f"{last.entries:,}",
        f"{last.evicted:,}",
        f"{rate:.0f}",
        f"{sum(each.hits for each in part) / max(asked, 1):.1%}",
        f"{median(each.p50_ms for each in part):.1f}",
        f"{median(each.p99_ms for each in part):.1f}",
        str(sum(each.failed for each in part)),
    ]
