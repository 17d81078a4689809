"""Metrics of several workers as those of one server.

Counters and histograms are added. Of a gauge it depends on what it means: see ``ADDED``,
``GREATEST`` and ``LEAST``. All other gauges, and all that is of a process, keep apart by a label
``worker``: means over a worker's own past, memory, open files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Sample

WORKER = "worker"
ADDED = frozenset(
    "kindcache_writes_waiting kindcache_model_calls_in_flight kindcache_own_calls_left"
    " kindcache_refreshes_left".split()
)
# Each worker holds a copy of the same entries, or knows the same thing a little sooner or later.
GREATEST = frozenset(
    "kindcache_entries kindcache_stored_bytes kindcache_capacity_entries kindcache_room_entries"
    " kindcache_room_bytes kindcache_breaker_open kindcache_load kindcache_load_pressure"
    " kindcache_replication_behind_seconds kindcache_replication_behind_changes"
    " kindcache_replication_rebuilding kindcache_bar kindcache_alarm"
    " kindcache_precision_upper".split()
)
LEAST = frozenset(
    "kindcache_store_reached kindcache_embedder_ready kindcache_precision"
    " kindcache_precision_lower".split()
)
_OWN = "kindcache_"  # what else is exported is of the process
_SUMS = frozenset({"counter", "histogram"})

_Series = tuple[str, tuple[tuple[str, str], ...]]  # name and labels of a sample
_Join = Callable[[float, float], float]


def merged(live: Mapping[str, str], silent: Iterable[str] = ()) -> bytes:
    """Return one exposition of those of ``live`` workers by name.

    Of those that are ``silent`` the last known one counts in sums, so that sums never fall.
    """
    known = _Merged()
    for worker, text in live.items():
        for family in text_string_to_metric_families(text):
            known.add(family, worker)
    for text in silent:
        for family in text_string_to_metric_families(text):
            if _is_sum(family):
                known.add(family, "")
    return known.exposition()


def continued(before: str, now: bytes) -> bytes:
    """Return ``now`` with the counts of a predecessor, ``before``, added."""
    known = _Merged()
    for family in text_string_to_metric_families(before):
        if _is_sum(family):
            known.add(family, "")
    for family in text_string_to_metric_families(now.decode()):
        known.add(family, None)
    return known.exposition()


def _is_sum(family: Metric) -> bool:
    return family.type in _SUMS and family.name.startswith(_OWN)


class _Merged(Collector):
    """Families as they grow, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[Metric, dict[_Series, float]]] = {}

    def add(self, family: Metric, worker: str | None) -> None:
        """Add one family of ``worker``; None: nothing is told apart."""
        found = self._families.get(family.name)
        if found is None:
            about = Metric(family.name, family.documentation, family.type)
            found = self._families[family.name] = (about, {})
        values, join = found[1], _join(family)
        for sample in family.samples:
            more = ((WORKER, worker),) if join is None and worker is not None else ()
            series = sample.name, (*sample.labels.items(), *more)
            value = values.get(series)
            values[series] = (
                sample.value if value is None or join is None else join(value, sample.value)
            )

    def collect(self) -> Iterable[Metric]:
        """Return what has been added."""
        for about, values in self._families.values():
            about.samples = [Sample(name, dict(labels), v) for (name, labels), v in values.items()]
            yield about

    def exposition(self) -> bytes:
        """Return it in Prometheus's text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


def _join(family: Metric) -> _Join | None:
    """Say how two values of one series become one; None: they stay apart."""
    if _is_sum(family) or family.name in ADDED:
        return float.__add__
    if family.name in GREATEST:
        return max
    return min if family.name in LEAST else None
