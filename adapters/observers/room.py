"""Who holds how much of the room, as gauges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...policies.room import Used

Shares = tuple[Used, Used]  # what a category holds, and what it can always have


class RoomGauges(Collector):
    """Room used, guaranteed and borrowed by category, in entries and in bytes."""

    def __init__(self, by_category: Callable[[], Mapping[str, Shares]]) -> None:
        self._by_category = by_category

    def collect(self) -> Iterable[Metric]:
        """Return the gauges of this moment."""
        labels = ["category", "part"]
        entries = GaugeMetricFamily(
            "kindcache_room_entries", "Entries used, guaranteed and borrowed.", labels=labels
        )
        size = GaugeMetricFamily(
            "kindcache_room_bytes", "Bytes of answers, in the same parts.", labels=labels
        )
        for category, (used, guaranteed) in self._by_category().items():
            for family, holds, may in (
                (entries, used.entries, guaranteed.entries),
                (size, used.size_bytes, guaranteed.size_bytes),
            ):
                family.add_metric([category, "used"], holds)
                family.add_metric([category, "guaranteed"], may)
                family.add_metric([category, "borrowed"], max(0, holds - may))
        yield from (entries, size)
