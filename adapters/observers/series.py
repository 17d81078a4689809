"""Counters and histograms as plain numbers: two dictionary operations an event, no lock.

A counter of the client library takes a lock and a microsecond, and a hit counts seven times. Here
events are counted in the event loop only, and the library sees the numbers when it is asked for
them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]


class Counts(Collector):
    """A counter by labels, in the order of ``labels``."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._about = name, text
        self._labels = labels
        self._values: defaultdict[Labels, float] = defaultdict(float)

    def add(self, *labels: str, amount: float = 1.0) -> None:
        """Add ``amount``."""
        self._values[labels] += amount

    def collect(self) -> Iterable[Metric]:
        """Return the counts of this moment."""
        name, text = self._about
        family = CounterMetricFamily(name, text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


class Spread(Collector):
    """A histogram by labels; ``bounds`` are the upper ends of its buckets, rising."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        self._about = name, text
        self._labels = labels
        self._bounds = tuple(bounds)
        self._ends = [*map(floatToGoString, bounds), "+Inf"]
        self._counts: defaultdict[Labels, list[int]] = defaultdict(lambda: [0] * len(self._ends))
        self._sums: defaultdict[Labels, float] = defaultdict(float)

    def observe(self, value: float, *labels: str) -> None:
        """Count ``value``."""
        self._counts[labels][bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    def collect(self) -> Iterable[Metric]:
        """Return the buckets of this moment."""
        name, text = self._about
        family = HistogramMetricFamily(name, text, labels=self._labels)
        for labels, counts in self._counts.items():
            buckets = list(zip(self._ends, accumulate(counts), strict=True))
            family.add_metric(labels, buckets=buckets, sum_value=self._sums[labels])
        yield family
