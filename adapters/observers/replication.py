"""How far a process is behind the store that it shares, as gauges."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...cache.replication.following import Behind


class ReplicationGauges(Collector):
    """What has been told and is not carried out here, in seconds and in changes."""

    def __init__(self, behind: Callable[[], Behind]) -> None:
        self._behind = behind

    def collect(self) -> Iterable[Metric]:
        """Return the gauges of this moment."""
        behind = self._behind()
        for name, text, value in (
            ("behind_seconds", "Since all changes of the store were known here.", behind.seconds),
            ("behind_changes", "Changes heard of and not carried out.", behind.changes),
            ("rebuilding", "1 while all records of the store are read anew.", behind.rebuilding),
        ):
            yield GaugeMetricFamily(f"kindcache_replication_{name}", text, value=value)
